"""Where withdrawn rows lie in the data file of today.

They lie where they were withdrawn, as long as the data file has the same digest. In any other data
file they are searched by their values, and what was found is noted in ``state``, so that neither
a change of settings nor a question reads the source again. A withdrawal of an earlier version,
without values, is about the rows of its numbers, as long as these have the bytes that they had.
Withdrawn bytes of files are searched in the files of today each time; see
``recipes.withdrawn_places``.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from memtrain.config.results import DATA_FILE, ROWS_FILE, ResultsLayout
from memtrain.core.errors import UserError, raise_problems
from memtrain.core.ranges import Range, count_rows, merge_ranges
from memtrain.core.wording import counted, listed
from memtrain.data.files_layout import is_description
from memtrain.data.layouts import read_layout
from memtrain.data.made_from import statement_in
from memtrain.data.row_digests import digest_rows
from memtrain.data.source import Source
from memtrain.recipes.withdrawals import Withdrawal, entry_digest
from memtrain.recipes.withdrawn_places import FilesToday, FoundBytes
from memtrain.recipes.withdrawn_values import ValuesFolder
from memtrain.system import checked_json
from memtrain.system.file_notes import FileNotes
from memtrain.system.writing_errors import UnwritableError

_log = logging.getLogger(__name__)


class WithdrawnRows:
    """The rows of the withdrawals of a dataset, in the data file of today.

    Args:
        withdrawals: the withdrawals.
        file: the file that lists them.
        results: the files of the dataset.
        data: the data file, where it is not that of the results.
    """

    def __init__(
        self,
        withdrawals: Sequence[Withdrawal],
        file: Path,
        results: ResultsLayout,
        data: str | os.PathLike | None = None,
    ):
        self._withdrawals = withdrawals
        self._values = ValuesFolder(file)
        self._file = file
        self._results = results
        self._data_file = data or results.data
        name = ROWS_FILE if is_description(self._data_file) else DATA_FILE
        self._data = statement_in(results.source).files.get(name)
        self._found = self._noted()
        self._files = FilesToday(self._data_file, FileNotes(results.known_digests))
        self._found_bytes: dict[str, FoundBytes] = {}

    def known(self) -> list[Withdrawal]:
        """Return the withdrawals, each once for every range where its rows lie.

        Where rows cannot be found now, for example since the source has changed, they are those of
        their numbers, as long as these have the bytes that were withdrawn, or cannot be read. A
        warning says so.
        """
        try:
            self.search()
        except UserError as error:
            _log.warning("%s", error)
        placed = []
        for one in self._withdrawals:
            ranges = self._known(one)
            if ranges is None:
                ranges = one.ranges
                with suppress(UserError):
                    ranges = [one.range] if self._has_its_bytes(one) else []
                _log.warning(
                    f"{self._file}: rows {one.range} ({one.reason}) were not searched in the rows "
                    f"of today; this answer takes them to lie at {listed(ranges) or 'no row'}."
                )
            placed += one.at_rows(ranges)
        return placed

    def find(self) -> list[Range]:
        """Return all withdrawn rows, after a search for those that are not known.

        Where they do not lie where they were withdrawn, that is told.

        Raises:
            UserError: for all withdrawals whose rows are not found.
        """
        self.search()
        ranges: list[Range] = []
        problems: list[str] = []
        for one in self._withdrawals:
            try:
                ranges += self._rows_of(one)
            except UserError as error:
                problems += error.problems
        raise_problems(problems)
        return merge_ranges(ranges)

    def missing_rows(self, withdrawal: Withdrawal) -> int:
        """Return how many rows of a withdrawal are not found, after ``search``."""
        if withdrawal.places:
            # Where some bytes are missing, nobody can tell how many rows they were part of.
            is_whole = not self._bytes_of(withdrawal).missing
            return 0 if is_whole else withdrawal.range.rows
        if self._known(withdrawal) is not None:
            return self._found.get(entry_digest(withdrawal), ([], 0))[1]
        return 0 if self._has_its_bytes(withdrawal) else withdrawal.range.rows

    def search(self) -> None:
        """Search the rows that are not known, and note where they lie.

        Rows whose key is missing are not searched.
        """
        searched = [
            one for one in self._withdrawals if self._known(one) is None and self._has_key(one)
        ]
        if searched:
            self._search(searched)

    def _search(self, searched: Sequence[Withdrawal]) -> None:
        # Imported late: Arrow is needed only where rows are searched.
        from memtrain.data.tables.source_rows import SourceRows
        from memtrain.recipes.withdrawn_search import find_rows

        values = [one.values for one in searched if one.values is not None]
        source = SourceRows(self._data_file, Source.read(self._results.source))
        wanted = [(one.columns, self._values.read(one)) for one in values]
        found = find_rows(source, wanted, self._values.key(values[0]))
        for one, rows in zip(searched, found, strict=True):
            self._found[entry_digest(one)] = (rows.ranges, rows.missing)
        self._note()

    def _known(self, withdrawal: Withdrawal) -> list[Range] | None:
        """Return the rows of a withdrawal; None where they are not known."""
        if withdrawal.places:
            return self._bytes_of(withdrawal).ranges
        if withdrawal.data is not None and withdrawal.data == self._data:
            return withdrawal.ranges
        return self._found.get(entry_digest(withdrawal), (None, 0))[0]

    def _rows_of(self, withdrawal: Withdrawal) -> list[Range]:
        """Return the rows of one withdrawal, and tell where they have moved.

        Raises:
            UserError: where some of them are not found.
        """
        where = f"{self._file}: rows {withdrawal.range} ({withdrawal.reason})"
        rows = self._known(withdrawal)
        if rows is None:
            return self._rows_by_number(withdrawal, where)
        missing = self.missing_rows(withdrawal)
        is_stated = missing <= (withdrawal.gone.rows if withdrawal.gone else 0)
        if withdrawal.places and not is_stated:
            raise self._missing_bytes(where, withdrawal)
        if not is_stated:
            raise UserError(
                f"{where}: {missing:,} of these {withdrawal.range.rows:,} withdrawn rows are not "
                "found in the source of the rows, neither there nor elsewhere. If they have left "
                "it, run `python scripts/lineage.py withdraw --gone --reason ...`, which records "
                "that. If their values were changed, run `lineage.py restore "
                f"{withdrawal.named_among(self._withdrawals)}`, and withdraw the rows that are "
                "meant."
            )
        if rows != [withdrawal.range]:
            _log.info(_describe_places(where, withdrawal, rows))
        return rows

    def _rows_by_number(self, withdrawal: Withdrawal, where: str) -> list[Range]:
        rows = withdrawal.range
        if withdrawal.values is not None:
            # Without the key, rows with the same values elsewhere would be trained on.
            self._values.key(withdrawal.values)
        if self._has_its_bytes(withdrawal):
            return [rows]
        if withdrawal.gone:
            _log.warning(f"{where} have left the source, and are not searched.")
            return []
        raise UserError(
            f"{where}: these rows are not the bytes that were withdrawn, and the withdrawal holds "
            "nothing to find them by. Run `python scripts/lineage.py restore "
            f"{withdrawal.named_among(self._withdrawals)}`, and withdraw the rows that are meant. "
            "If they have left the source, run `lineage.py withdraw --gone --reason ...`."
        )

    def _bytes_of(self, withdrawal: Withdrawal) -> FoundBytes:
        """Return where the bytes of a withdrawal lie; they are searched once."""
        entry = entry_digest(withdrawal)
        if entry not in self._found_bytes:
            self._found_bytes[entry] = self._files.find(withdrawal.places)
        return self._found_bytes[entry]

    def _missing_bytes(self, where: str, withdrawal: Withdrawal) -> UserError:
        missing = listed([str(place) for place in self._bytes_of(withdrawal).missing], 4)
        return UserError(
            f"{where}: the withdrawn bytes are not found, neither there nor in another file with "
            f"the same content: {missing}. If they have left the files, run `python "
            "scripts/lineage.py withdraw --gone --reason ...`, which records that. If they were "
            f"changed or moved, run `lineage.py restore {withdrawal.named_among(self._withdrawals)}"
            "`, and withdraw the bytes that are meant."
        )

    def _has_its_bytes(self, withdrawal: Withdrawal) -> bool:
        """Return whether the rows of its numbers have the bytes that were withdrawn.

        Raises:
            UserError: where the data file cannot be read.
        """
        rows, layout = withdrawal.range, read_layout(self._data_file)
        is_there = rows.end <= layout.rows
        return is_there and digest_rows(self._data_file, layout, rows) == withdrawal.digest

    def _has_key(self, withdrawal: Withdrawal) -> bool:
        try:
            return withdrawal.values is not None and bool(self._values.key(withdrawal.values))
        except UserError:
            return False

    def _noted(self) -> dict[str, tuple[list[Range], int]]:
        """Return what was found in the data file of today before: rows, and the missing ones."""
        try:
            content = checked_json.read(self._results.withdrawn_rows, made_by="resolve_splits")
            if self._data is None or content["data"] != self._data:
                return {}
            return {
                name: ([Range(*rows) for rows in one["rows"]], int(one["missing"]))
                for name, one in content["found"].items()
            }
        except (UserError, OSError, KeyError, TypeError, AttributeError, ValueError):
            return {}

    def _note(self) -> None:
        found = {
            name: {"rows": [list(rows) for rows in ranges], "missing": missing}
            for name, (ranges, missing) in self._found.items()
        }
        with suppress(UnwritableError):  # In a folder that is read-only it is found each time.
            checked_json.write(self._results.withdrawn_rows, {"data": self._data, "found": found})


def _describe_places(where: str, withdrawal: Withdrawal, found: list[Range]) -> str:
    """Return a sentence on where the rows of a withdrawal lie now."""
    if not found:
        return f"{where}: none of these withdrawn rows is in the data any more"
    rows = count_rows(found)
    now = f"{where}: these withdrawn rows now lie at {listed(found)}"
    if rows <= withdrawal.range.rows:
        return now
    return (
        f"{now}; {counted(rows, 'row')} have their values, which is more than were withdrawn, and "
        "all of them are left out"
    )
