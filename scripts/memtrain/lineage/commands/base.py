"""The base of all commands: their parsers, the records that they query, and their answers."""

import argparse
import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range
from memtrain.core.wording import readable
from memtrain.data.files_layout import FilesLayout
from memtrain.data.layouts import RowLayout, read_layout
from memtrain.data.places_in_files import FileBytes, bytes_of_rows
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.index.reading_errors import told_where_unreadable
from memtrain.lineage.queries.currency import current_configuration, today_of
from memtrain.lineage.queries.lookup import rows_of_shard
from memtrain.lineage.queries.models_on_disk import ModelsOnDisk
from memtrain.lineage.queries.named_places import NamedPlace, bytes_of_place, rows_of_places
from memtrain.lineage.queries.removed_models import RemovedModel, removed_models
from memtrain.lineage.queries.verify import Verification, verify_everything
from memtrain.lineage.records.privacy import Privacy
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE, Withdrawal, read_withdrawals
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.workflow.today import Today
from memtrain.workflow.workflow_files import workflow_folder

#: The folder that holds memtrain's Snakefile and scripts.
WORKFLOW = workflow_folder()

#: What else names rows, where they lie in many files.
_OR_PLACE = "; of rows in many files, PATH, --elements or --document"

_log = logging.getLogger(__name__)


class Query:
    """The arguments of a command, and the records that answer it.

    Args:
        arguments: the parsed command line.

    Attributes:
        arguments: the parsed command line.
        project: the folder of the project, which is the current folder.
        results: the files of the dataset.
        index: the index of the dataset's records.
        data: the path of the file of rows, relative to the project.
    """

    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.project = Path.cwd()
        self.results = ResultsLayout.find(arguments.results)
        self.index = LineageIndex(self.results.records, self.project)
        self.data = Privacy(self.project).path(self.results.data)
        for damaged in self.index.damaged:
            _log.warning("%s", damaged)

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return read_configuration(self.results.configuration).dataset.name

    @property
    def withdrawals_file(self) -> Path:
        """The file that lists the withdrawn rows of all datasets."""
        return self.project / WITHDRAWALS_FILE

    @property
    def withdrawals(self) -> list[Withdrawal]:
        """The withdrawals of the dataset, each once for every range where its rows lie now."""
        listed = read_withdrawals(self.withdrawals_file, self.dataset)
        return WithdrawnRows(listed, self.withdrawals_file, self.results).known()

    @cached_property
    def place(self) -> NamedPlace:
        """What the command line says of a place in files."""
        given = self.arguments
        return NamedPlace(given.place, given.bytes, given.elements, given.document, given.field)

    @cached_property
    def layout(self) -> RowLayout:
        """How the rows lie.

        Raises:
            UserError: where the rows cannot be read.
        """
        return read_layout(self.results.data)

    def named_rows(self) -> list[Range]:
        """Return the rows that ``--rows``, ``--shard`` or a place in files names.

        Raises:
            UserError: where none is named, or there is no such place.
        """
        if self.place.is_empty:
            return [self.rows()]
        rows = rows_of_places(self.layout, self.named_bytes())
        if not rows:
            raise UserError(f"{self.place}: no row has any of these bytes.")
        return rows

    def named_bytes(self) -> list[FileBytes]:
        """Return the bytes of a place in files, or those of the rows of ``--rows`` or ``--shard``.

        Raises:
            UserError: where nothing is named, there is no such place, or rows lie in one file.
        """
        if self.place.is_empty and isinstance(self.layout, FilesLayout):
            rows = self.rows()
            if rows.end > self.layout.rows:
                raise UserError(f"rows {rows}: {self.data} has {self.layout.rows:,} rows.")
            return list(bytes_of_rows(self.layout, rows))
        if self.names_rows:
            raise UserError(
                "--bytes, --elements, --document and --field go with a file or alone, not with "
                "--rows or --shard."
            )
        return bytes_of_place(self.layout, self.place)

    @property
    def names_rows(self) -> bool:
        """Whether ``--rows`` or ``--shard`` is given."""
        return self.arguments.rows is not None or self.arguments.shard is not None

    def rows(self) -> Range:
        """Return the rows of ``--rows``, or those of the shard of ``--shard``.

        Raises:
            UserError: where neither is given.
        """
        if not self.names_rows:
            raise UserError(f"no rows are named. Give --rows START:END or --shard N{_OR_PLACE}.")
        if self.arguments.shard is not None:
            return rows_of_shard(self.results.manifest, self.arguments.shard)
        return self.arguments.rows

    @cached_property
    def models(self) -> ModelsOnDisk:
        """The models of the dataset that lie on the disk."""
        try:
            configured = current_configuration(self.results, self.project).split_names
        except UserError:
            configured = None
        return ModelsOnDisk(
            self.index, results=self.results, project=self.project, configured=configured
        )

    @cached_property
    def removed_models(self) -> list[RemovedModel]:
        """The models that clean.py has removed."""
        return removed_models(self.index, self.project)

    def today(self) -> Today:
        """Return what the results would be made from now."""
        return today_of(self.results, self.project, WORKFLOW / "scripts")

    def verify_everything(self) -> Verification:
        """Compare all files and rows with the records, and record what was found."""
        return verify_everything(
            self.index,
            models=self.models,
            project=self.project,
            data=self.data,
            withdrawals=self.withdrawals,
            today=self.today(),
        )

    def answer(self, content: Any, lines: Iterable[str], is_fine: bool = True) -> int:
        """Print an answer to standard output, and return the exit status.

        Args:
            content: the answer for programs, printed as JSON if ``--json`` is given.
            lines: the lines of the answer for people.
            is_fine: whether the answer holds no finding.

        Returns:
            0; 1 where there is a finding, or a record that cannot be read.
        """
        if self.arguments.json:
            print(json.dumps(as_json(content), indent=1))
        else:
            print("\n".join(lines))
        return 0 if is_fine and not self.index.damaged else 1


def run_command(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed, and return its exit status.

    After a mistake of the user, or of a file that cannot be read, which is logged, the status is 2,
    since 1 stands for a finding.
    """
    try:
        return arguments.run(arguments)
    except UserError as error:
        for problem in error.problems:
            _log.error(problem)
    except OSError as error:
        if error.filename is None:
            raise  # Standard output is full or closed.
        _log.error("%s: this cannot be read (%s).", os.fsdecode(error.filename), error.strerror)
    return 2


class Commands:
    """The commands of a parser.

    Args:
        parser: the parser to add commands to. Its parsed arguments have the attribute ``run``, the
            function that runs the chosen command.
    """

    def __init__(self, parser: argparse.ArgumentParser):
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")
        self._query_arguments = argparse.ArgumentParser(add_help=False)
        self._query_arguments.add_argument(
            "--results",
            metavar="FOLDER",
            help="the results of the dataset, results/<dataset>; may be left out where there is "
            "only one dataset",
        )
        self._query_arguments.add_argument(
            "--json", action="store_true", help="print JSON, for programs"
        )

    def add_query(
        self, name: str, run: Callable[[Query], int], summary: str, details: str = ""
    ) -> argparse.ArgumentParser:
        """Add a command that queries the records.

        Args:
            name: the name of the command.
            run: the function that prints the answer and returns the exit status.
            summary: a line of help.
            details: more help, shown below the arguments.

        Returns:
            The parser of the command, for its own arguments.
        """
        added = self._add(name, summary, details, parents=[self._query_arguments])

        def answer(arguments: argparse.Namespace) -> int:
            with told_where_unreadable(ResultsLayout.find(arguments.results).records):
                return run(Query(arguments))

        added.set_defaults(run=answer)
        return added

    def add_task(
        self,
        name: str,
        run: Callable[[argparse.Namespace], int],
        summary: str,
        details: str = "",
    ) -> argparse.ArgumentParser:
        """Add a command that needs no records.

        Args:
            name: the name of the command.
            run: the function that runs the command and returns the exit status.
            summary: a line of help.
            details: more help, shown below the arguments.

        Returns:
            The parser of the command, for its own arguments.
        """
        added = self._add(name, summary, details)
        added.set_defaults(run=run)
        return added

    def _add(
        self, name: str, summary: str, details: str, **options: Any
    ) -> argparse.ArgumentParser:
        return self._commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=details,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )


def as_json(content: Any) -> Any:
    """Return dataclasses, at any depth, as mappings."""
    if is_dataclass(content) and not isinstance(content, type):
        return as_json(asdict(content))
    if isinstance(content, dict):
        return {name: as_json(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_json(value) for value in content]
    return content


def add_time_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--at``, which names a withdrawal by its time."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="the withdrawal of this time, as withdrawals.yaml has it; its beginning is enough",
    )


def reason_text(text: str) -> str:
    """Return the reason that a person gives, as every file can take it."""
    reason = readable(text).strip()
    if not reason:
        raise argparse.ArgumentTypeError("a reason is needed; this one is empty")
    return reason
