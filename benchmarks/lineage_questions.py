"""Time of lineage queries at scale: 10,000 shards, 5,000 models, 100,000 ranges."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from memtrain.core.ranges import Range
from memtrain.core.shard_grid import ShardGrid
from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.explain import explain
from memtrain.lineage.queries.impact import downstream_of_digest, downstream_of_rows
from memtrain.lineage.records.record_store import RecordStore
from memtrain.lineage.records.run_record import CodeRoot, FileUse, PieceUse, RunRecord

SHARDS = 10_000
ROWS_PER_SHARD = 100_000
MODELS = 5_000
RANGES_PER_MODEL = 20
DATA = "results/large/data.npy"
QUERIES = 30


def digest(*parts: object) -> str:
    """Return a made-up digest, the same for the same parts."""
    return f"sha256:{random.Random(repr(parts)).getrandbits(256):064x}"


class RunWriter:
    """Writes records of made-up runs, one after the other."""

    def __init__(self, folder: Path):
        self._store = RecordStore(folder)
        self._count = 0
        self._code = [CodeRoot("memtrain", None, None, {f"{n}.py": digest(n) for n in range(60)})]
        self._packages = {f"package-{number}": "1.0" for number in range(80)}

    def add(self, job: str, split: str | None, inputs: list, outputs: list) -> None:
        """Write the record of one run."""
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


def file_use(path: str, role: str, part: str = "") -> FileUse:
    """Return the use of a whole file, by one part of a run if one is given."""
    return FileUse(path, role, 1, 0, digest(path), {part: []} if part else {})


def training_ranges(model: int) -> list[Range]:
    """Return the ranges that a model is trained on, in order."""
    chance = random.Random(model)
    starts = sorted(chance.sample(range(SHARDS * ROWS_PER_SHARD // 50_000), RANGES_PER_MODEL))
    return [Range(start * 50_000, start * 50_000 + 40_000) for start in starts]


def cut_by_shard(ranges: list[Range]) -> list[PieceUse]:
    """Return the rows of ranges, cut at the borders of shards."""
    return [
        PieceUse(shard, piece, digest(piece), digest("shard", shard))
        for rows in ranges
        for shard, piece in ShardGrid(ROWS_PER_SHARD).cut(rows)
    ]


def write_records(folder: Path) -> None:
    """Write the records of a whole workflow."""
    runs = RunWriter(folder)
    all_rows = Range(0, SHARDS * ROWS_PER_SHARD)

    def data(rows: dict, pieces: list) -> FileUse:
        return FileUse(DATA, "rows", 1, 0, None, rows, pieces)

    written = FileUse(DATA, "rows", 1, 0, digest(DATA), {"": [all_rows]})
    runs.add("generate_data", None, [], [written])
    manifest = file_use("results/large/manifest.json", "manifest")
    runs.add("index_shards", None, [data({"": [all_rows]}, cut_by_shard([all_rows]))], [manifest])
    splits = {f"model_{number}": training_ranges(number) for number in range(MODELS)}
    recipes = [file_use(f"{split}/split.json", "recipe", split) for split in splits]
    runs.add("resolve_splits", None, [data(splits, []), manifest], recipes)
    for split, ranges in splits.items():
        recipe = file_use(f"{split}/split.json", "recipe")
        model = file_use(f"{split}/model", "model")
        used = data({"": ranges}, cut_by_shard(ranges))
        runs.add("train", split, [used, recipe], [model])
        evaluation = file_use(f"{split}/evaluation.json", "evaluation")
        runs.add("evaluate", split, [used, recipe, model], [evaluation])
    evaluations = [file_use(f"{split}/evaluation.json", "evaluation") for split in splits]
    runs.add("summarize", None, evaluations, [file_use("summary.md", "summary")])


def milliseconds(query: Callable[[int], object]) -> str:
    """Return the median and the range of the time of a query, run for different numbers."""
    times = []
    for number in range(QUERIES):
        start = time.perf_counter()
        query(number * 97)
        times.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(times):.1f} ms ({min(times):.1f} to {max(times):.1f})"


def query_times(folder: Path) -> dict[str, str]:
    """Return the time of each query."""
    index = LineageIndex(folder)

    def impact_of_rows(number: int) -> object:
        rows = Range(number * ROWS_PER_SHARD, (number + 1) * ROWS_PER_SHARD)
        return downstream_of_rows(index, DATA, [rows])

    def impact_of_digest(number: int) -> object:
        return downstream_of_digest(index, digest("shard", number))

    def explain_model(number: int) -> object:
        model = index.current(f"model_{number}/model")
        assert model is not None
        return explain(index, model.version)

    times = {
        "`impact` of the rows of a shard": milliseconds(impact_of_rows),
        "`impact` of a shard's digest": milliseconds(impact_of_digest),
        "`explain` a model": milliseconds(explain_model),
    }
    index.close()
    return times


def main() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "lineage"
        write_records(records)
        megabytes = sum(file.stat().st_size for file in records.glob("events/*/*")) / 1e6
        start = time.perf_counter()
        LineageIndex(records).close()
        build_seconds = time.perf_counter() - start
        start = time.perf_counter()
        LineageIndex(records).close()
        check_seconds = time.perf_counter() - start
        times = query_times(records)
        size = (records / INDEX_FILE).stat().st_size / 1e6
    lines = [
        f"{SHARDS:,} shards, {MODELS:,} models, {MODELS * RANGES_PER_MODEL:,} ranges: "
        f"{2 * MODELS + 4:,} records, {megabytes:,.0f} MB",
        "",
        "| | time |",
        "|---|---|",
        f"| the index is made ({size:.0f} MB) | {build_seconds:.1f} s |",
        f"| the index is found to be as new as the records | {1000 * check_seconds:.0f} ms |",
        *(f"| {query} | {duration} |" for query, duration in times.items()),
    ]
    return "\n".join(lines)
