"""Made-up records of runs."""

from memtrain.core.ranges import Range
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import FileUse, PieceUse, RunRecord


def digest_of(text):
    return f"sha256:{text:0>64}"


class Records:
    """Writes made-up records to a folder, each later than the one before."""

    def __init__(self, folder):
        self.store, self.count = RecordStore(folder), 0

    def add(self, job, inputs=(), outputs=(), split=None, state="completed", **more):
        self.count += 1
        at = f"2026-01-01T00:{self.count // 60:02}:{self.count % 60:02}.000000Z"
        record = RunRecord(
            run_id=f"01900000-0000-7000-8000-{self.count:012}",
            job=job,
            split=split,
            started_at=at,
            ended_at=None if state == "running" else at,
            state=state,
            inputs=list(inputs),
            outputs=list(outputs),
            **more,
        )
        if state == "running":
            self.store.started(record)
        else:
            self.store.ended(record)
        return record


def rows(path, *ranges, part="", size=1, pieces=()):
    """Return the use of rows by a run that read them."""
    uses = [Range(*pair) for pair in ranges]
    return FileUse(path, "rows", size, 0, None, {part: uses}, list(pieces))


def rows_written(path, *ranges, size=1, text="0"):
    uses = {"": [Range(*pair) for pair in ranges]}
    return FileUse(path, "rows", size, 0, digest_of(text), uses)


def file(path, role="file", text="0", part=""):
    return FileUse(path, role, 1, 0, digest_of(text), {part: []} if part else {})


def piece(shard, start, end, text):
    return PieceUse(shard, Range(start, end), digest_of(text), digest_of(text))
