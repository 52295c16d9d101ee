"""The help texts of the scripts, as their parsers print them."""

import argparse
import contextlib
import importlib.util
import io
import os
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from unittest import mock

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "scripts"
_COLUMNS = 100


@lru_cache
def help_text(script: str, command: str = "") -> str:
    """Return what ``python scripts/SCRIPT.py [COMMAND] --help`` prints.

    Args:
        script: name of the script, without its suffix.
        command: name of a sub-command; empty for the help of the script itself.

    Raises:
        ValueError: where the script has no such sub-command.
    """
    printed = io.StringIO()
    arguments = [*command.split(), "--help"]
    try:
        with (
            mock.patch("sys.argv", [f"{script}.py"]),
            mock.patch.dict(os.environ, {"COLUMNS": str(_COLUMNS), "NO_COLOR": "1"}),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            _loaded(script).parse_arguments(arguments)
    except SystemExit as end:
        if end.code:
            raise ValueError(f"{script}.py {command}: {printed.getvalue()}") from None
    return printed.getvalue()


@lru_cache
def sub_commands(script: str) -> list[str]:
    """Return the names of a script's sub-commands, in their order; nested ones as two words."""

    def keep(parser: argparse.ArgumentParser, *_: object) -> None:
        raise _ParserFound(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", keep):
        try:
            _loaded(script).parse_arguments([])
        except _ParserFound as found:
            return _commands_below(found.parser)
    raise ValueError(f"{script}.py has no parser")


class _ParserFound(Exception):  # noqa: N818 - not an error: it leaves the script once it has a parser
    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def _commands_below(parser: argparse.ArgumentParser) -> list[str]:
    names: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub_parser in action.choices.items():
                below = _commands_below(sub_parser)
                names += [name, *(f"{name} {deeper}" for deeper in below)]
    return names


@lru_cache
def _loaded(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"script_{script}", SCRIPTS / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A script's parser finds the script's docstring by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
