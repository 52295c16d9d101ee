"""Things that a configuration chooses by name: found, checked, and built with its arguments.

Every error says which key chose the thing, and shows the class's own arguments where they were
not met.
"""

import importlib
import inspect
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed


def import_object(where: str, path: str) -> Any:
    """Import "package.module:name".

    Args:
        where: the key that chose it, for errors.
        path: what it chose.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"{where}: {path!r} cannot be imported: {describe_exception(error)}. The module is "
            "looked for in the working directory and in the environment."
        ) from None
    if not hasattr(module, name):
        there = [known for known in vars(module) if not known.startswith("_")]
        raise UserError(
            f"{where}: {path!r} cannot be imported: {module.__file__} has no {name!r}."
            f"{did_you_mean(name, there)}"
        )
    return getattr(module, name)


def find_class(where: str, name: str, module: ModuleType, base: type, suffix: str = "") -> type:
    """Return the class of a module that a key named.

    Args:
        where: the key that chose it.
        name: what it chose.
        module: where such classes are.
        base: what they inherit from.
        suffix: what their names end with.
    """
    known = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value is not base
        and key.endswith(suffix)
    }
    if name not in known:
        raise UserError(
            f"{where}: {module.__name__} has no {name!r}; it has {listed(sorted(known), 40)}."
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def build(where: str, factory: Callable, *positional: Any, **arguments: Any) -> Any:
    """Call a class or function that a key chose with the arguments that stand beside its name.

    Raises:
        UserError: where it does not take these arguments, or refuses their values.
    """
    check_arguments(where, factory, positional, arguments)
    try:
        return factory(*positional, **arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{where}: {_name(factory)} refuses {_show(arguments)}: {describe_exception(error)}."
        ) from None


def check_arguments(
    where: str, factory: Callable, positional: tuple, arguments: dict[str, Any]
) -> None:
    """Refuse arguments that a class or function does not take, or lacks."""
    try:
        signature = inspect.signature(factory)
    except ValueError:
        return
    names = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    try:
        signature.bind(*positional, **arguments)
    except TypeError as error:
        unknown = [name for name in arguments if name not in names]
        hint = did_you_mean(unknown[0], names[len(positional) :]) if unknown else ""
        takes = listed(names[len(positional) :]) or "no arguments"
        raise UserError(
            f"{where}: {_name(factory)} does not take {_show(arguments)} ({error}); it takes "
            f"{takes}.{hint}"
        ) from None


def takes_argument(factory: Callable, name: str) -> bool:
    """Return whether a class or function has a parameter of this name."""
    try:
        return name in inspect.signature(factory).parameters
    except ValueError:
        return False


def describe_exception(error: BaseException) -> str:
    """Return an exception as one line: its type, its text, and the line that raised it."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} (in {frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _name(factory: Callable) -> str:
    return getattr(factory, "__name__", repr(factory))


def _show(arguments: dict[str, Any]) -> str:
    return listed(f"{name}={value!r}" for name, value in arguments.items()) or "no arguments"
