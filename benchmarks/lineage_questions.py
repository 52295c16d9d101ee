"""Questions of lineage at scale: 10,000 shards, 5,000 models, 100,000 ranges."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from memtrain.core.ranges import Range, cut_at_grid
from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.explain import explain
from memtrain.lineage.queries.impact import downstream_of_digest, downstream_of_rows
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import CodeRoot, FileUse, PieceUse, RunRecord

SHARDS, ROWS_PER_SHARD, MODELS, RANGES = 10_000, 100_000, 5_000, 20
DATA = "results/large/data.npy"
QUESTIONS = 30


def digest(*parts: object) -> str:
    """Return something that looks like a digest, the same for the same parts."""
    return f"sha256:{random.Random(repr(parts)).getrandbits(256):064x}"


class Runs:
    """Keeps records of runs that never ran, one after the other."""

    def __init__(self, folder: Path):
        self._store, self._count = RecordStore(folder), 0
        self._code = [CodeRoot("memtrain", None, None, {f"{n}.py": digest(n) for n in range(60)})]
        self._packages = {f"package-{number}": "1.0" for number in range(80)}

    def add(self, job: str, split: str | None, inputs: list, outputs: list) -> None:
        """Keep the record of one run."""
        self._count += 1
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + self._count))
        record = RunRecord(
            run_id=f"01900000-0000-7000-8000-{self._count:012}",
            job=job,
            split=split,
            started_at=at,
            ended_at=at,
            state="completed",
            inputs=inputs,
            outputs=outputs,
            parameters={f"training.setting_{number}": number for number in range(25)},
            code=self._code,
            environment={"python": "3.11", "packages": self._packages, "variables": {}},
            machine={"host": "x"},
        )
        self._store.ended(record)


def whole(path: str, role: str, part: str = "") -> FileUse:
    """Return the use of a file as a whole."""
    return FileUse(path, role, 1, 0, digest(path), {part: []} if part else {})


def ranges_of(model: int) -> list[Range]:
    """Return the rows of a model, in order."""
    chance = random.Random(model)
    starts = sorted(chance.sample(range(SHARDS * ROWS_PER_SHARD // 50_000), RANGES))
    return [Range(start * 50_000, start * 50_000 + 40_000) for start in starts]


def pieces_of(ranges: list[Range]) -> list[PieceUse]:
    """Return the rows of ranges by shards."""
    return [
        PieceUse(shard, piece, digest(piece), digest("shard", shard))
        for rows in ranges
        for shard, piece in cut_at_grid(rows, ROWS_PER_SHARD)
    ]


def write_records(folder: Path) -> None:
    """Write the records of a whole workflow."""
    runs, everything = Runs(folder), Range(0, SHARDS * ROWS_PER_SHARD)

    def data(rows: dict, pieces: list) -> FileUse:
        return FileUse(DATA, "rows", 1, 0, None, rows, pieces)

    written = FileUse(DATA, "rows", 1, 0, digest(DATA), {"": [everything]})
    runs.add("generate_data", None, [], [written])
    manifest = whole("results/large/manifest.json", "manifest")
    runs.add("index_shards", None, [data({"": [everything]}, pieces_of([everything]))], [manifest])
    splits = {f"model_{number}": ranges_of(number) for number in range(MODELS)}
    recipes = [whole(f"{split}/split.json", "recipe", split) for split in splits]
    runs.add("resolve_splits", None, [data(splits, []), manifest], recipes)
    for split, ranges in splits.items():
        recipe, model = whole(f"{split}/split.json", "recipe"), whole(f"{split}/model", "model")
        used = data({"": ranges}, pieces_of(ranges))
        runs.add("train", split, [used, recipe], [model])
        evaluation = whole(f"{split}/evaluation.json", "evaluation")
        runs.add("evaluate", split, [used, recipe, model], [evaluation])
    evaluations = [whole(f"{split}/evaluation.json", "evaluation") for split in splits]
    runs.add("summarize", None, evaluations, [whole("summary.md", "summary")])


def milliseconds(question: Callable[[int], object]) -> str:
    """Return the median and the range of the time of a question, asked of many things."""
    times = []
    for number in range(QUESTIONS):
        start = time.perf_counter()
        question(number * 97)
        times.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(times):.1f} ms ({min(times):.1f} to {max(times):.1f})"


def ask(folder: Path) -> dict[str, str]:
    """Return how long each question takes."""
    index = LineageIndex(folder)

    def by_shard(number: int) -> object:
        rows = Range(number * ROWS_PER_SHARD, (number + 1) * ROWS_PER_SHARD)
        return downstream_of_rows(index, DATA, [rows])

    def by_digest(number: int) -> object:
        return downstream_of_digest(index, digest("shard", number))

    def upstream(number: int) -> object:
        model = index.current(f"model_{number}/model")
        assert model is not None
        return explain(index, model.version)

    found = {
        "`impact` of the rows of a shard": milliseconds(by_shard),
        "`impact` of a shard's digest": milliseconds(by_digest),
        "`explain` a model": milliseconds(upstream),
    }
    index.close()
    return found


def main() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "lineage"
        write_records(records)
        megabytes = sum(file.stat().st_size for file in records.glob("events/*/*")) / 1e6
        start = time.perf_counter()
        LineageIndex(records).close()
        built = time.perf_counter() - start
        start = time.perf_counter()
        LineageIndex(records).close()
        looked = time.perf_counter() - start
        answers = ask(records)
        size = (records / INDEX_FILE).stat().st_size / 1e6
    lines = [
        f"{SHARDS:,} shards, {MODELS:,} models, {MODELS * RANGES:,} ranges: "
        f"{2 * MODELS + 4:,} records, {megabytes:,.0f} MB",
        "",
        "| | time |",
        "|---|---|",
        f"| the index is made ({size:.0f} MB) | {built:.1f} s |",
        f"| the index is found to be as new as the records | {1000 * looked:.0f} ms |",
        *(f"| {question} | {time} |" for question, time in answers.items()),
    ]
    return "\n".join(lines)
