"""What all commands share: how they are added, how they are asked, and how they answer."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import memtrain
from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout
from memtrain.core.ranges import Range
from memtrain.lineage.queries.index import LineageIndex
from memtrain.lineage.queries.verify import shard_rows
from memtrain.lineage.records.privacy import Privacy
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE, Withdrawal, read_withdrawals

#: The folder that holds memtrain's Snakefile and scripts.
REPOSITORY = Path(memtrain.__file__).resolve().parents[2]


class Question:
    """A command line, and what is needed to answer it from the records."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments, self.project = arguments, Path.cwd()
        self.results = ResultsLayout.find(arguments.results)
        self.index = LineageIndex(self.results.records)
        self.data = Privacy(self.project).path(self.results.data)
        for damaged in self.index.damaged:
            print(f"warning: {damaged}", file=sys.stderr)

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return read_configuration(self.results.configuration).dataset.name

    @property
    def withdrawals(self) -> list[Withdrawal]:
        """Of the dataset."""
        return read_withdrawals(self.project / WITHDRAWALS_FILE, self.dataset)

    def rows(self) -> Range:
        """The rows that the command line names, or those of the shard that it names."""
        if self.arguments.shard is not None:
            return shard_rows(self.results.manifest, self.arguments.shard)
        return self.arguments.rows

    def answer(self, content: Any, lines: Iterable[str], is_fine: bool = True) -> int:
        """Print the answer, and return the exit status."""
        if self.arguments.json:
            print(json.dumps(as_json(content), indent=1))
        else:
            print("\n".join(lines))
        return 0 if is_fine and not self.index.damaged else 1


class Commands:
    """The commands of a parser.

    Args:
        parser: to add them to; what it parses has the answering function as ``command``.
    """

    def __init__(self, parser: argparse.ArgumentParser):
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")
        self._of_questions = argparse.ArgumentParser(add_help=False)
        self._of_questions.add_argument(
            "--results", help="results/<dataset>; the only one there is unless given"
        )
        self._of_questions.add_argument(
            "--json", action="store_true", help="print JSON, for programs"
        )

    def question(
        self, name: str, function: Callable[[Question], int], text: str, more: str = ""
    ) -> argparse.ArgumentParser:
        """Add a command that is answered from the records, and return its parser."""
        added = self._add(name, text, more, parents=[self._of_questions])
        added.set_defaults(command=lambda arguments: function(Question(arguments)))
        return added

    def task(
        self, name: str, function: Callable[[argparse.Namespace], int], text: str, more: str = ""
    ) -> argparse.ArgumentParser:
        """Add a command that needs no records, and return its parser."""
        added = self._add(name, text, more)
        added.set_defaults(command=function)
        return added

    def _add(self, name: str, text: str, more: str, **others: Any) -> argparse.ArgumentParser:
        return self._commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=more,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **others,
        )


def as_json(content: Any) -> Any:
    """Return dataclasses as mappings, at any depth."""
    if is_dataclass(content):
        return as_json(asdict(content))
    if isinstance(content, dict):
        return {name: as_json(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_json(value) for value in content]
    return content


def add_rows(parser: argparse.ArgumentParser) -> Any:
    """Add the options that name rows; one of the group is needed."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--rows", type=parse_rows, metavar="A:B", help="rows A to B-1")
    group.add_argument("--shard", type=int, metavar="N", help="the rows of a shard, by its number")
    return group


def parse_rows(text: str) -> Range:
    """Return "A:B" as the rows [A, B), and "A" as that one row."""
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    rows = match and Range(int(match[1]), int(match[2]) if match[2] else int(match[1]) + 1)
    if not rows or rows.rows <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not START:END with START before END")
    return rows
