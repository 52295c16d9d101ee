"""Withdraws bytes of files, and with them every row that one of them is part of."""

from collections.abc import Sequence
from pathlib import Path

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.wording import listed
from memtrain.data.files_layout import FilesLayout
from memtrain.data.places_in_files import FileBytes, rows_of_bytes
from memtrain.data.row_digests import digest_rows
from memtrain.data.source import Source
from memtrain.lineage.queries.named_places import rows_of_places
from memtrain.lineage.queries.withdrawal_actions import changing_withdrawals
from memtrain.lineage.records.run_record import utc_now
from memtrain.recipes.withdrawals import Withdrawal, WithdrawnBytes
from memtrain.recipes.withdrawn_places import FilesToday
from memtrain.system.file_notes import FileNotes


def withdraw_bytes(
    file: Path,
    *,
    dataset: str,
    results: ResultsLayout,
    places: Sequence[FileBytes],
    reason: str,
) -> list[Withdrawal]:
    """Add bytes of files to the withdrawals, and return what was added.

    Each range of rows that one of the bytes is part of becomes a withdrawal, which is found later
    by its bytes: by their content, at their place, whatever numbers the rows have then. A call that
    was killed after it withdrew them is finished, and its withdrawals returned.

    Args:
        file: the file of withdrawals.
        dataset: the name of the dataset.
        results: the files of the dataset.
        places: the bytes to withdraw.
        reason: why they are withdrawn.

    Raises:
        UserError: where no row has any of these bytes, all of them are withdrawn already, or a
            file cannot be read.
    """
    layout = FilesLayout.read(results.data)
    rows = rows_of_places(layout, places)
    names = listed([str(place) for place in places], 4)
    if not rows:
        raise UserError(f"{names}: no row has any of these bytes; there is none to withdraw.")
    with changing_withdrawals(file, dataset, results.records) as changes:
        finished = {(one.rows, one.at) for one in changes.finished_of("withdraw")}
        done = [one for one in changes.before if (one.rows, one.at) in finished]
        if done and [one.range for one in done] == rows:
            return done
        known = [place for one in changes.before for place in one.places]
        if all(_is_withdrawn(place, known) for place in places):
            raise UserError(f"{file}: {names} are withdrawn already.")
        added = _new_withdrawals(results, layout, rows, places, reason)
        changes.write("withdraw", added, [*changes.before, *added])
    return added


def _is_withdrawn(place: FileBytes, known: Sequence[WithdrawnBytes]) -> bool:
    return any(
        one.path == place.path and one.start <= place.start and place.end <= one.end
        for one in known
    )


def _new_withdrawals(
    results: ResultsLayout,
    layout: FilesLayout,
    ranges: Sequence[Range],
    places: Sequence[FileBytes],
    reason: str,
) -> list[Withdrawal]:
    files = FilesToday(results.data, FileNotes(results.known_digests))
    described = [files.described(place) for place in places]
    reached = [rows_of_bytes(layout, one.path, Range(one.start, one.end)) for one in places]
    data, at = Source.read(results.source).files.get(results.data.name), utc_now()
    return [
        Withdrawal(
            rows=(rows.start, rows.end),
            reason=reason,
            at=at,
            digest=digest_rows(results.data, layout, rows),
            data=data,
            places=[
                place
                for place, its_rows in zip(described, reached, strict=True)
                if any(overlaps(its_rows, [rows]))
            ],
        )
        for rows in ranges
    ]
