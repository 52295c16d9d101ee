"""What can follow each command of `memtrain`, from the parsers of the commands."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from memtrain.frontdoor.command import SCRIPTS, add_commands
from memtrain.frontdoor.parsers import commands_of, parser_of

#: What an argument is: a word of a list, the name of a split, a path, or anything else.
Kind = Literal["choice", "split", "path"]

#: Options of Snakemake that people use most; `snakemake --help` lists all.
_OPTIONS_OF_SNAKEMAKE = {
    "--dry-run": "say what would be made, and why",
    "-n": "say what would be made, and why",
    "--cores": "use so many cores",
    "--profile": "use a profile, such as one for a cluster",
    "--configfile": "use another configuration",
    "--config": "set single keys of the configuration",
    "--until": "end with this rule",
    "--forcerun": "make these rules or files again",
    "--forceall": "make everything again",
    "--keep-going": "go on with other jobs after a failure",
    "--rerun-incomplete": "make again what a kill has left",
    "--retries": "try jobs that fail so many times more",
    "--unlock": "unlock a folder whose run was killed",
    "--report": "write a report",
    "--quiet": "print less",
    "--printshellcmds": "print the commands of the jobs",
    "--help": "show the help of this command",
}


#: Options by which the workflow calls a script, and which nobody types.
_OPTIONS_OF_RULES = {"--records", "--lineage", "--workflow-run", "--attempt"}


@dataclass(frozen=True)
class Argument:
    """An argument.

    Attributes:
        flags: how an option is called; none for an argument by its place.
        help: a line on what it means.
        takes_value: whether a word follows that belongs to it.
        kind: what its value is.
        choices: the words of which it is one, where it is a choice.
    """

    flags: tuple[str, ...]
    help: str
    takes_value: bool
    kind: Kind
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command of `memtrain`, or of one of its commands.

    Attributes:
        words: the words that call it, such as ("lineage", "impact"); none for `memtrain` alone.
        help: a line on what it does.
        arguments: its arguments.
        below: its own commands, with a line of help for each.
    """

    words: tuple[str, ...]
    help: str
    arguments: tuple[Argument, ...]
    below: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The words, as a text."""
        return " ".join(self.words)

    @property
    def options(self) -> list[Argument]:
        """The arguments that are options."""
        return [one for one in self.arguments if one.flags]

    @property
    def values(self) -> Argument | None:
        """The first argument by its place; None where there is none."""
        return next((one for one in self.arguments if not one.flags), None)


def all_commands() -> list[Command]:
    """Return `memtrain`, its commands, and theirs."""
    top = argparse.ArgumentParser("memtrain")
    add_commands(top)
    found: list[Command] = []
    below = list(commands_of(top))
    found.append(_command((), "", top))
    for name, text, parser in below:
        if name == "run":
            options = (
                Argument((flag,), text, False, "path")
                for flag, text in _OPTIONS_OF_SNAKEMAKE.items()
            )
            found.append(Command((name,), text, tuple(options), ()))
        else:
            found += _with_below((name,), text, parser_of(name) if name in SCRIPTS else parser)
    return found


def _with_below(
    words: tuple[str, ...], text: str, parser: argparse.ArgumentParser
) -> Iterator[Command]:
    yield _command(words, text, parser)
    for name, help_of_it, below in commands_of(parser):
        yield from _with_below((*words, name), help_of_it, below)


def _command(words: tuple[str, ...], text: str, parser: argparse.ArgumentParser) -> Command:
    arguments = tuple(
        _argument(action)
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction)
        and action.help != argparse.SUPPRESS
        and _OPTIONS_OF_RULES.isdisjoint(action.option_strings)
    )
    below = tuple((name, _one_line(line)) for name, line, _ in commands_of(parser))
    return Command(words, _one_line(text), arguments, below)


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    kind: Kind = "choice" if choices else "path"
    if not choices and metavar.upper() in ("SPLIT", "SPLITS"):
        kind = "split"
    return Argument(
        flags=tuple(action.option_strings),
        help=_one_line(action.help or ""),
        takes_value=action.nargs != 0,
        kind=kind,
        choices=choices,
    )


def _one_line(text: str) -> str:
    """Return the first part of a help text, without what argparse puts in."""
    text = " ".join(text.split())
    return text.split("; ")[0].split(" (")[0].replace("%%", "%")
