"""What a project of any size takes: constants that are measured small, and formulas with them.

Times are CPU seconds of one process. See docs/concepts/scale.md.
"""

import json
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.describing import FILES, write_sparse_files
from benchmarks.lineage_questions import RunWriter, digest, file_use
from benchmarks.many_splits import make_resolved_project, snakemake
from memtrain.config.dataset import MockSettings
from memtrain.config.files import FilesSettings
from memtrain.config.reading import parse_configuration
from memtrain.config.training import ShuffleSettings
from memtrain.core.ranges import Range
from memtrain.data.files_description import describe_files
from memtrain.data.indexing import index_shards
from memtrain.data.layouts import layout_to_json
from memtrain.data.manifest import Manifest
from memtrain.data.mock_rows import write_mock_data
from memtrain.lineage.index.building import INDEX_FILE
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.run_record import FileUse, PieceUse
from memtrain.loading.row_order import row_order
from memtrain.planning.split_resolution import resolve_splits

_ROWS_PER_SHARD = 64


@dataclass(frozen=True)
class Cost:
    """Bytes and CPU seconds of something."""

    size: float
    seconds: float

    def plus(self, unit: "Cost", units: float) -> "Cost":
        """Return this cost and that of some units."""
        return Cost(self.size + units * unit.size, self.seconds + units * unit.seconds)

    def slope(self, larger: "Cost", units: int) -> "Cost":
        """Return the cost of one unit, from that of a larger thing with more units."""
        return Cost((larger.size - self.size) / units, (larger.seconds - self.seconds) / units)


@dataclass(frozen=True)
class Constants:
    """What was measured.

    Attributes:
        shard: a shard in the manifest, without its columns: written once and read once.
        column: a column of a shard.
        recipe: a recipe without its pieces.
        piece: a piece of a shard in a recipe.
        record: a record of a training without its pieces, written and put into the index.
        recorded_piece: a piece of a shard in it; the bytes are those of the record alone.
        indexed_record, indexed_piece: what the index holds of both.
        block: a block of rows in the order of an epoch; the bytes are memory.
        mebibyte: a MiB of rows that is digested and summarized.
        configured_split: a split in the configuration, which every job reads.
        file: a file of rows where it lies.
        split: a split in the graph of ``snakemake -n``.
    """

    shard: Cost
    column: Cost
    recipe: Cost
    piece: Cost
    record: Cost
    recorded_piece: Cost
    indexed_record: Cost
    indexed_piece: Cost
    block: Cost
    mebibyte: Cost
    configured_split: Cost
    file: Cost
    split: Cost


@dataclass(frozen=True)
class Project:
    """A project of some size.

    Attributes:
        rows, columns: rows, and float32 columns of each.
        files: files that hold them.
        splits: splits, which share the training rows without overlap.
        nodes: machines that train at the same time.
    """

    rows: float = 1e12
    columns: int = 128
    files: float = 1e5
    splits: float = 1e4
    nodes: float = 1e3

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return 4 * self.columns

    @property
    def shards(self) -> float:
        """Shards of 16 MiB."""
        return self.rows * self.row_bytes / (16 << 20)

    @property
    def blocks_of_split(self) -> float:
        """Blocks of 256 KiB that a split has."""
        return self.rows / self.splits * self.row_bytes / (256 << 10)


def main() -> str:
    """Return both tables: the constants, and what the project takes."""
    with tempfile.TemporaryDirectory() as name:
        constants = measure(Path(name))
    lines = ["### Constants", "", "| | bytes | CPU time |", "|---|---|---|"]
    for name, cost in vars(constants).items():
        seconds = f"{cost.seconds * 1e6:,.1f} µs"
        lines.append(f"| {name.replace('_', ' ')} | {cost.size:,.0f} | {seconds} |")
    return "\n".join([*lines, "", *extrapolated(constants, Project())])


def extrapolated(c: Constants, p: Project) -> list[str]:
    """Return the table of what a project takes."""
    pieces = p.shards / p.splits
    shard = c.shard.plus(c.column, p.columns)
    recipe = c.recipe.plus(c.piece, pieces)
    record = c.record.plus(c.recorded_piece, pieces)
    indexed = c.indexed_record.plus(c.indexed_piece, pieces)
    amounts = {
        "files described": (p.files, c.file),
        "rows digested: MiB": (p.rows * p.row_bytes / 2**20, c.mebibyte),
        "manifest: shards": (p.shards, shard),
        "recipes: splits": (p.splits, recipe),
        "records of trainings": (p.splits, record),
        "index of them": (p.splits, indexed),
        "order of one split: blocks": (p.blocks_of_split, c.block),
        "order of all rows in one split": (p.blocks_of_split * p.splits, c.block),
        "graph: splits": (p.splits, c.split),
        "configuration, in every job: splits": (p.splits, c.configured_split),
    }
    lines = [
        f"### {p.rows:.0e} rows of {p.columns} float32 in {p.files:,.0f} files, {p.splits:,.0f} "
        f"splits, {p.nodes:,.0f} nodes",
        "",
        "| | number | size | CPU time |",
        "|---|---|---|---|",
    ]
    for what, (number, cost) in amounts.items():
        size, hours = number * cost.size / 1e9, number * cost.seconds / 3600
        lines.append(f"| {what} | {number:.2g} | {size:,.3g} GB | {hours:,.3g} h |")
    return lines


def measure(folder: Path) -> Constants:
    """Measure all constants."""
    shard, column = _shards(folder)
    recipe, piece = _recipes(folder)
    record, recorded_piece, indexed_record, indexed_piece = _records(folder)
    return Constants(
        shard=shard,
        column=column,
        recipe=recipe,
        piece=piece,
        record=record,
        recorded_piece=recorded_piece,
        indexed_record=indexed_record,
        indexed_piece=indexed_piece,
        block=_blocks(),
        mebibyte=_reading(folder),
        configured_split=_configuration(),
        file=_files(folder),
        split=_graph(folder),
    )


def _cpu(function: Callable[[], float]) -> Cost:
    """Run a function that returns a size, and return its cost."""
    start = time.process_time()
    size = function()
    return Cost(size, time.process_time() - start)


def _indexed(folder: Path, features: int, shards: int) -> tuple[str, Manifest]:
    data = str(folder / f"{features}-{shards}.npy")
    settings = MockSettings(rows=shards * _ROWS_PER_SHARD, features=features, target="random")
    write_mock_data(data, settings)
    return data, index_shards(data, _ROWS_PER_SHARD)


def _shards(folder: Path) -> tuple[Cost, Cost]:
    """Return the cost of a shard without columns, and that of one column of it."""
    shards, few, many = 300, 3, 63

    def cost(features: int) -> Cost:
        _, manifest = _indexed(folder, features, shards)
        place = folder / f"manifest-{features}"
        place.mkdir()

        def write_and_read() -> float:
            manifest.write(place / "manifest.json")
            list(Manifest.read(place / "manifest.json").shards)
            return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())

        total = _cpu(write_and_read)
        return Cost(total.size / shards, total.seconds / shards)

    small = cost(few)
    column = small.slope(cost(many), many - few)
    columns = few + 1
    base = Cost(small.size - columns * column.size, small.seconds - columns * column.seconds)
    return base, column


def _recipes(folder: Path) -> tuple[Cost, Cost]:
    """Return the cost of a recipe without pieces, and that of one piece."""
    few, many = 10, 1000
    data, manifest = _indexed(folder, 3, many + 1)
    settings = {"rows": (many + 1) * _ROWS_PER_SHARD, "features": 3, "target": "random"}
    source = write_mock_data(data, MockSettings.model_validate(settings))

    def cost(pieces: int) -> Cost:
        last = many * _ROWS_PER_SHARD
        split = {"train": [0, pieces * _ROWS_PER_SHARD], "evaluate": [last, last + 1]}
        content = {"dataset": {"name": "scale", "mock": settings}, "splits": {"one": split}}
        configuration = parse_configuration(content)
        path = folder / f"split-{pieces}.json"

        def resolve() -> float:
            (recipe,) = resolve_splits(configuration, data, manifest, source)
            recipe.write(path)
            return path.stat().st_size

        resolve()
        return _cpu(resolve)

    small = cost(few)
    piece = small.slope(cost(many), many - few)
    return Cost(small.size - few * piece.size, small.seconds - few * piece.seconds), piece


def _records(folder: Path) -> tuple[Cost, Cost, Cost, Cost]:
    """Return the costs of records and pieces: written, and in the index."""
    runs, few, many = 100, 1, 41

    def cost(pieces: int) -> tuple[Cost, Cost]:
        place = folder / f"records-{pieces}"
        writer = RunWriter(place)

        def write() -> float:
            for run in range(runs):
                starts = range(run * 10**6, run * 10**6 + 100 * pieces, 100)
                rows = [Range(start, start + 100) for start in starts]
                parts = [
                    PieceUse(part.start // 100, part, digest(part), digest("shard", part))
                    for part in rows
                ]
                ranges = {"": [Range(rows[0].start, rows[-1].end)]}
                used = FileUse("data.npy", "rows", 1, 0, None, ranges, parts)
                writer.add("train", f"s{run}", [used], [file_use(f"s{run}/model", "model")])
            return sum(path.stat().st_size for path in place.glob("events/*/*"))

        def index() -> float:
            LineageIndex(place).close()
            return (place / INDEX_FILE).stat().st_size

        return _cpu(write), _cpu(index)

    small, large = cost(few), cost(many)
    costs = []
    for one, other in zip(small, large, strict=True):
        piece = one.slope(other, (many - few) * runs)
        base = Cost(one.size / runs - few * piece.size, one.seconds / runs - few * piece.seconds)
        costs.append((base, piece))
    return costs[0][0], costs[0][1], costs[1][0], costs[1][1]


def _blocks() -> Cost:
    """Return memory and time of one block in the order of an epoch."""
    blocks, row_bytes = 1_000_000, 512
    shuffle = ShuffleSettings()
    rows = blocks * (shuffle.block_bytes // row_bytes)
    order = row_order(
        [Range(0, rows)],
        row_bytes=row_bytes,
        batch_size=1024,
        accumulation_steps=1,
        shuffle=shuffle,
        seed=1,
    )
    tracemalloc.start()
    found = _cpu(lambda: order.epoch(0) and tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    return Cost(found.size / blocks, found.seconds / blocks)


def _reading(folder: Path) -> Cost:
    """Return the cost of indexing a MiB of rows; it needs no room of its own."""
    data = str(folder / "read.npy")
    write_mock_data(data, MockSettings(rows=1 << 17, features=127, target="random"))
    found = _cpu(lambda: float(len(index_shards(data, threads=1).shards)))
    return Cost(0, found.seconds / 64)


def _configuration() -> Cost:
    """Return the cost of a split in the configuration; the bytes are those of its text."""

    def cost(splits: int) -> Cost:
        content = {
            "dataset": {"name": "scale", "mock": {"rows": 10**6}},
            "splits": {
                f"s{number}": {"train": [number, number + 50], "evaluate": [999_000, 999_100]}
                for number in range(splits)
            },
        }
        return _cpu(lambda: parse_configuration(content) and float(len(json.dumps(content))))

    return cost(100).slope(cost(2100), 2000)


def _files(folder: Path) -> Cost:
    """Return the cost of describing one file."""
    place = folder / "files"
    place.mkdir()
    write_sparse_files(place)
    settings = FilesSettings(path=[f"{place}/*.npy"], features=["0:255"], target=["255:"])
    found = _cpu(lambda: len(json.dumps(layout_to_json(describe_files(settings)[0]))))
    return Cost(found.size / FILES, found.seconds / FILES)


def _graph(folder: Path) -> Cost:
    """Return the cost of a split in a dry run of a project that is resolved."""
    few, many = 20, 100

    def cost(splits: int) -> Cost:
        project = make_resolved_project(folder / f"project-{splits}", splits, rows_trained=50)
        before = _seconds_of_children()
        snakemake(project, "-n", "--quiet", "all")
        return Cost(0, _seconds_of_children() - before)

    return cost(few).slope(cost(many), many - few)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
