"""How well the row orders of memtrain and of others mix rows that lie sorted on the disk.

The orders of others are written here as their sources describe them, with the parameters that the
table names; none of their code runs. The measure is the variance of a batch's mean, divided by that
under a uniform shuffle: 1 is best, and the number of rows in a batch is worst.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import torch

from memtrain.config.dataset import MockSettings
from memtrain.config.reading import parse_configuration
from memtrain.core.ranges import Range
from memtrain.data.indexing import index_shards
from memtrain.data.manifest import Manifest
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.record_file import create
from memtrain.data.source import Source
from memtrain.loading.row_order import RowOrder
from memtrain.planning.split_resolution import resolve_splits
from memtrain.recipes.recipe import Recipe
from memtrain.training.trainer import Trainer

ROWS = 1 << 20
BATCH = 1024
EPOCHS = 3

#: Rows of 128 float32 in a block of 256 KiB.
ROWS_PER_BLOCK = 512

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "shuffle.png"


#: Function from the number of an epoch to its rows: int64 (ROWS,).
EpochRows = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class MeasuredOrder:
    """A row order whose variance is measured.

    Attributes:
        name: name in the table.
        rows: the rows of an epoch.
        formula: variance that memtrain's formula gives; None for an order of others.
    """

    name: str
    rows: EpochRows
    formula: float | None = None


def block_order(blocks: int, rows_per_block: int = ROWS_PER_BLOCK) -> RowOrder:
    """Return memtrain's order with this many blocks in the shuffle buffer."""
    return RowOrder(
        [Range(0, ROWS)], BATCH, rows_per_block=rows_per_block, blocks_per_buffer=blocks
    )


def rows_in(order: RowOrder) -> EpochRows:
    """Return a function to the rows of an epoch in memtrain's order."""
    return lambda epoch: np.concatenate(
        [order.epoch(epoch).buffer(number).rows() for number in range(order.buffers)]
    )


def shuffle_buffer(size: int) -> EpochRows:
    """Return rows in file order through a buffer: for each row that enters, a random one leaves."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        drawn = generator.integers(0, size, ROWS)
        buffer = list(range(size))
        out = []
        for row, place in zip(range(size, ROWS), drawn.tolist(), strict=False):
            out.append(buffer[place])
            buffer[place] = row
        return np.concatenate([out, generator.permutation(buffer)])

    return rows


def permuted_pieces(rows_per_piece: int, pieces_mixed: int) -> EpochRows:
    """Return pieces of the file in random order, the rows of a few pieces at a time permuted."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        pieces = np.arange(ROWS).reshape(-1, rows_per_piece)
        mixed = generator.permutation(pieces).reshape(-1, rows_per_piece * pieces_mixed)
        return generator.permuted(mixed, axis=1).reshape(-1)

    return rows


def shifted_samples(rows_per_shard: int, reach: int) -> EpochRows:
    """Return shards in random order, each row moved by a random distance (streaming's py1e)."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        order = generator.permutation(np.arange(ROWS).reshape(-1, rows_per_shard)).reshape(-1)
        span = max(0, reach - rows_per_shard) / 2
        return order[np.argsort(np.arange(ROWS) + generator.uniform(-span, span, ROWS))]

    return rows


def measured_variance(rows_of_epoch: EpochRows) -> float:
    """Return the variance of a batch's mean, divided by that under a uniform shuffle."""
    uniform = (ROWS**2 - 1) / 12 / BATCH
    means = [rows_of_epoch(epoch).reshape(-1, BATCH).mean(axis=1) for epoch in range(EPOCHS)]
    return float(np.mean((np.concatenate(means) - (ROWS - 1) / 2) ** 2) / uniform)


def variances() -> str:
    """Return the table of variances."""
    lines = [
        f"{ROWS:,} rows of 128 float32, sorted, batches of {BATCH}, {EPOCHS} epochs",
        "",
        "| order | measured | formula |",
        "|---|---|---|",
    ]
    for order in measured_orders():
        formula = "-" if order.formula is None else f"{order.formula:.2f}"
        lines.append(f"| {order.name} | {measured_variance(order.rows):,.2f} | {formula} |")
    return "\n".join(lines)


def measured_orders() -> list[MeasuredOrder]:
    """Return the orders in the order of the table."""
    own = {
        "memtrain, 64 blocks (16 MiB)": block_order(64),
        "memtrain, 1,024 blocks (256 MiB), the default": block_order(1024),
        "memtrain, all rows in the buffer": block_order(2048),
    }
    others: dict[str, EpochRows] = {
        "in order": _in_order,
        "a shuffle buffer of 10,000 rows (WebDataset, HF datasets)": shuffle_buffer(10_000),
        "blocks of 16 rows, 64 batches at a time (scDataset)": permuted_pieces(16, 4096),
        "chunks of 64 MiB, one at a time (LitData)": permuted_pieces(1 << 17, 1),
        "shards of 64 MiB, rows moved in 2^18 (streaming)": shifted_samples(1 << 17, 1 << 18),
        "a permutation of all rows (Grain, tensordict, torchdata)": permuted_pieces(1, ROWS),
    }
    return [
        *(MeasuredOrder(name, rows_in(order), order.batch_variance) for name, order in own.items()),
        *(MeasuredOrder(name, rows) for name, rows in others.items()),
    ]


def _in_order(epoch: int) -> np.ndarray:
    return np.arange(ROWS)


def trainings() -> str:
    """Train on rows that lie sorted by the target, with different buffers; draw and tabulate it."""
    shuffles = {
        "none": "none",
        "1 block": {"block_bytes": "64KiB", "buffer_bytes": "64KiB"},
        "16 blocks": {"block_bytes": "64KiB", "buffer_bytes": "1MiB"},
        "256 blocks": {"block_bytes": "64KiB", "buffer_bytes": "16MiB"},
        "all rows": {},
    }
    lines = ["| buffer | batch variance | mean squared error, end of training |", "|---|---|---|"]
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        data, source = _sorted_rows(Path(folder))
        manifest = index_shards(data, 1 << 14)
        for name, shuffle in shuffles.items():
            recipe = _recipe(data, manifest, source, shuffle)
            result = Trainer(recipe, data).run()
            error = _error(recipe, data, result.weights)
            losses = np.array([step.loss for step in result.history])
            axes.plot(losses, label=f"{name}: {error:.3f}", linewidth=1)
            lines.append(f"| {name} | {recipe.shuffle.batch_variance:,.2f} | {error:.3f} |")
    axes.set(yscale="log", xlabel="optimizer step", ylabel="loss of the window")
    axes.legend(title="in the buffer: final error", fontsize="small")
    axes.set_title("300,000 rows sorted by the target, three epochs")
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=110)
    return "\n".join(lines)


def _sorted_rows(folder: Path) -> tuple[str, Source]:
    """Write mock rows in the order of their target, as the rows of a drifting time series lie."""
    drawn = folder / "drawn.npy"
    data = folder / "data.npy"
    source = write_mock_data(drawn, MockSettings(rows=300_000, features=20, noise=0.1))
    rows = np.load(drawn)
    with create(data, rows.dtype, len(rows)) as writer:
        writer.write(0, rows[np.argsort(rows["target"][:, 0])])
    return str(data), Source(source.features, source.target, "regression")


def _recipe(data: str, manifest: Manifest, source: Source, shuffle: str | dict[str, str]) -> Recipe:
    configuration = parse_configuration(
        {
            "dataset": {"name": "benchmark", "mock": {"rows": 300_000}},
            "splits": {
                "all": {"train": [0, "100%"], "evaluate": [0, "100%"], "allow_overlap": True}
            },
            "training": {
                "model": {"name": "mlp", "hidden": [64]},
                "transform": {"name": "scale", "factor": 2, "offset": -1},
                "optimizer": {"name": "Adam", "lr": 0.003},
                "batch_size": 128,
                "accumulation_steps": 8,
                "shuffle": shuffle,
            },
        }
    )
    (recipe,) = resolve_splits(configuration, data, manifest, source)
    return recipe


def _error(recipe: Recipe, data: str, weights: Mapping[str, torch.Tensor]) -> float:
    """Return the mean squared error of a model over all rows."""
    from memtrain.components.build import build_training_parts

    parts = build_training_parts(recipe.training, torch.device("cpu"))
    parts.model.load_state_dict(weights)
    dataset = MemmapDataset(data, transform=parts.transform)
    batch = SimpleNamespace(**dataset.gather(range(len(dataset))))
    with torch.no_grad():
        return float(((parts.model(batch.features) - batch.target) ** 2).mean())


def main() -> str:
    """Return the tables; the figure goes to docs/images/shuffle.png."""
    return f"### Shuffle quality\n\n{variances()}\n\n{trainings()}"
