"""The hooks that a configuration names: functions of the user's own that look at a training."""

from collections.abc import Callable, Sequence
from typing import Any

from memtrain.components.global_state import global_settings
from memtrain.config.hooks import HookSettings
from memtrain.config.objects import build, check_arguments, import_object
from memtrain.core.errors import UserError, attempt, raise_problems
from memtrain.core.wording import listed


def check_hooks(where: str, hooks: Sequence[HookSettings]) -> None:
    """Check that hooks exist, and take their arguments; nothing of them is called.

    Args:
        where: key of the setting, for error messages.
        hooks: the settings of the hooks.

    Raises:
        UserError: with the problems of all hooks.
    """
    problems: list[str] = []
    for number, hook in enumerate(hooks):
        attempt(problems, _check_hook, key_of_hook(where, number), hook)
    raise_problems(problems)


def build_hook(where: str, hook: HookSettings) -> Callable[[Any], object]:
    """Return what is called with the view of a training.

    Args:
        where: key of the hook, for error messages.
        hook: the settings of the hook.

    Raises:
        UserError: if there is no such function or class, or it does not take its arguments.
    """
    found = import_object(where, hook.name)
    if not isinstance(found, type):
        check_arguments(where, found, (None,), hook.arguments)
        return lambda view: found(view, **hook.arguments)
    made = build(where, found, **hook.arguments)
    if not callable(made):
        raise UserError(
            f"{where}: an object of the class {hook.name} cannot be called. Give the class a "
            "method `__call__(self, view)`."
        )
    return made


def key_of_hook(where: str, number: int) -> str:
    """Return the key of a hook: "training.hooks.0"."""
    return f"{where}.{number}"


def _check_hook(where: str, hook: HookSettings) -> None:
    before = global_settings()
    found = import_object(where, hook.name)
    after = global_settings()
    if changed := [name for name, value in before.items() if after[name] != value]:
        raise UserError(
            f"{where}: the import of {hook.name} changes {listed(changed)}, which the training "
            "computes with. A hook may look at a training, and not change it: remove the call from "
            "its module."
        )
    check_arguments(where, found, () if isinstance(found, type) else (None,), hook.arguments)
