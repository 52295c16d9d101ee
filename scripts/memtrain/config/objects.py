"""Finds, checks and builds the objects that a configuration names: models, losses and the like.

Every error names the key of the configuration. If arguments do not fit, it lists those that the
class or function takes.
"""

import importlib
import inspect
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

from memtrain.core.errors import UserError
from memtrain.core.wording import did_you_mean, listed, shown


def import_object(where: str, path: str) -> Callable[..., Any]:
    """Import a class or a function.

    Args:
        where: key of the configuration that names the object, for messages.
        path: path of the object, "package.module:name".

    Raises:
        UserError: if the module cannot be imported, does not have the name, or has something else
            of this name than a class or a function.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{where}: {path!r} cannot be imported: {describe_exception(error)}. The module is "
            "looked for in the working directory and in the environment."
        ) from None
    if not hasattr(module, name):
        known = [attribute for attribute in vars(module) if not attribute.startswith("_")]
        raise UserError(
            f"{where}: {path!r} cannot be imported: {module.__file__} has no {name!r}."
            f"{did_you_mean(name, known)}"
        )
    found = getattr(module, name)
    if not callable(found):
        raise UserError(
            f"{where}: {path!r} is {shown(found)}; name a class or a function of the module."
        )
    return found


def find_class(where: str, name: str, module: ModuleType, base: type, suffix: str = "") -> type:
    """Return a class of a module by its name.

    Args:
        where: key of the configuration that names the class, for messages.
        name: name of the class.
        module: module to look in.
        base: base class that the class must have.
        suffix: ending that the name must have.

    Raises:
        UserError: if the module has no such class.
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


def build(where: str, factory: Callable, /, *positional: Any, **arguments: Any) -> Any:
    """Call a class or function with arguments from the configuration.

    Args:
        where: key of the configuration, for messages.
        factory: class or function to call.
        *positional: positional arguments, which memtrain adds.
        **arguments: keyword arguments, which stand beside the name in the configuration.

    Raises:
        UserError: if the class or function does not take these arguments, or refuses their values.
    """
    check_arguments(where, factory, positional, arguments)
    try:
        return factory(*positional, **arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{where}: {_name(factory)} refuses {_show(arguments)}: {describe_exception(error)}."
        ) from None


def check_arguments(
    where: str, factory: Callable, positional: tuple, arguments: dict[str, Any]
) -> None:
    """Raise a ``UserError`` if a class or function cannot be called with these arguments."""
    try:
        signature = inspect.signature(factory)
    except (ValueError, TypeError):  # of code in C
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


def argument_names(factory: Callable) -> list[str]:
    """Return the names of the arguments of a class or function; none where they are not known."""
    try:
        return list(inspect.signature(factory).parameters)
    except (ValueError, TypeError):  # of code in C
        return []


def takes_argument(factory: Callable, name: str) -> bool:
    """Return whether a class or function has a parameter with this name."""
    return name in argument_names(factory)


def required_arguments(factory: Callable) -> list[str]:
    """Return the names of the arguments that a class or function cannot be called without."""
    try:
        parameters = inspect.signature(factory).parameters
    except (ValueError, TypeError):  # of code in C
        return []
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def describe_exception(error: BaseException) -> str:
    """Return an exception in one line: its type, its text, and the line of code that raised it."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, SystemExit):
        text = f"it ends the program (sys.exit({shown(error.code)})), which no module may do"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} (in {frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _name(factory: Callable) -> str:
    return getattr(factory, "__name__", repr(factory))


def _show(arguments: dict[str, Any]) -> str:
    return listed(f"{name}={value!r}" for name, value in arguments.items()) or "no arguments"
