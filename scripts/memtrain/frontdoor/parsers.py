"""The parsers of the scripts, for what is made of them: the completion of a shell."""

import argparse
import importlib.util
import sys
from collections.abc import Iterator

from memtrain.workflow.workflow_files import script_file


class _ParserFoundError(Exception):
    """Carries the parser of a script out of its function."""

    def __init__(self, parser: argparse.ArgumentParser):
        super().__init__()
        self.parser = parser


class _Keeping:
    """While it is entered, a parser that is asked to parse raises itself in place of it."""

    def __enter__(self) -> None:
        self._before = argparse.ArgumentParser.parse_args

        def keep(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
            raise _ParserFoundError(parser)

        argparse.ArgumentParser.parse_args = keep  # type: ignore[assignment, method-assign]

    def __exit__(self, *_: object) -> None:
        argparse.ArgumentParser.parse_args = self._before  # type: ignore[method-assign]


def parser_of(script: str) -> argparse.ArgumentParser:
    """Return the parser of a script, which is imported and not run.

    Args:
        script: its name, without its suffix.
    """
    name = f"_parser_of_{script}"
    spec = importlib.util.spec_from_file_location(name, script_file(script))
    assert spec is not None, "a script is a file of Python"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A parser finds the docstring of its script by the name of its module.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        with _Keeping():
            module.parse_arguments([])
    except _ParserFoundError as found:
        return found.parser
    finally:
        del sys.modules[name]
    raise AssertionError(f"{script} parses nothing")


def commands_of(
    parser: argparse.ArgumentParser,
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the commands of a parser: name, a line of help, and their own parsers."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: one.help or "" for one in action._choices_actions}
            for name, below in action.choices.items():
                yield name, helps.get(name, ""), below
