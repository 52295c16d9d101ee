"""How well rows are mixed that lie sorted on the disk: ours, what others do, and what it costs.

The orders of others are written down here as their sources describe them, with the parameters named
in each; none of their code runs. The variance of a batch's mean is given over that of a uniform
shuffle: 1 is the best, and as many rows as a batch has the worst.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np

from memtrain.config.dataset import MockSettings
from memtrain.config.reading import parse_configuration
from memtrain.core.ranges import Range
from memtrain.data.indexing import index_shards
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.record_file import create
from memtrain.data.source import Source
from memtrain.loading.row_order import RowOrder
from memtrain.planning.split_resolution import resolve_splits
from memtrain.training.trainer import Trainer

ROWS, BATCH, EPOCHS = 1 << 20, 1024, 3
#: Rows of 128 float32 in a block of 256 KiB.
ROWS_PER_BLOCK = 512

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "shuffle.png"


def block_order(blocks: int, rows_per_block: int = ROWS_PER_BLOCK) -> RowOrder:
    """Return our order with so many blocks in the buffer."""
    return RowOrder(
        [Range(0, ROWS)], BATCH, rows_per_block=rows_per_block, blocks_per_buffer=blocks
    )


def ours(order: RowOrder) -> Callable[[int], np.ndarray]:
    """Return the rows of an epoch in our order."""
    return lambda epoch: np.concatenate(
        [order.epoch(epoch).buffer(number).rows() for number in range(order.buffers)]
    )


def shuffle_buffer(size: int) -> Callable[[int], np.ndarray]:
    """Rows in order through a buffer, out of which one is drawn for every row that comes in."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        drawn = generator.integers(0, size, ROWS)
        buffer, out = list(range(size)), []
        for row, place in zip(range(size, ROWS), drawn.tolist(), strict=False):
            out.append(buffer[place])
            buffer[place] = row
        return np.concatenate([out, generator.permutation(buffer)])

    return rows


def permuted_pieces(rows_per_piece: int, pieces_mixed: int) -> Callable[[int], np.ndarray]:
    """Pieces in random order, the rows of some of them at a time permuted."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        pieces = np.arange(ROWS).reshape(-1, rows_per_piece)
        mixed = generator.permutation(pieces).reshape(-1, rows_per_piece * pieces_mixed)
        return generator.permuted(mixed, axis=1).reshape(-1)

    return rows


def shifted_samples(rows_per_shard: int, reach: int) -> Callable[[int], np.ndarray]:
    """Shards in random order, each row moved by a random distance (streaming's py1e)."""

    def rows(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(epoch)
        order = generator.permutation(np.arange(ROWS).reshape(-1, rows_per_shard)).reshape(-1)
        span = max(0, reach - rows_per_shard) / 2
        return order[np.argsort(np.arange(ROWS) + generator.uniform(-span, span, ROWS))]

    return rows


def measured_variance(rows_of: Callable[[int], np.ndarray]) -> float:
    """Return the variance of the mean of a batch over that of a uniform shuffle."""
    uniform = (ROWS**2 - 1) / 12 / BATCH
    means = [rows_of(epoch).reshape(-1, BATCH).mean(axis=1) for epoch in range(EPOCHS)]
    return float(np.mean((np.concatenate(means) - (ROWS - 1) / 2) ** 2) / uniform)


def variances() -> str:
    """Return the table of variances."""
    small, default, large = block_order(64), block_order(1024), block_order(2048)
    found = [
        ("memtrain, 64 blocks (16 MiB)", ours(small), small.batch_variance),
        ("memtrain, 1,024 blocks (256 MiB), the default", ours(default), default.batch_variance),
        ("memtrain, all rows in the buffer", ours(large), large.batch_variance),
        ("in order", _in_order, None),
        ("a shuffle buffer of 10,000 rows (WebDataset, HF datasets)", shuffle_buffer(10_000), None),
        ("blocks of 16 rows, 64 batches at a time (scDataset)", permuted_pieces(16, 4096), None),
        ("chunks of 64 MiB, one at a time (LitData)", permuted_pieces(1 << 17, 1), None),
        (
            "shards of 64 MiB, rows moved in 2^18 (streaming)",
            shifted_samples(1 << 17, 1 << 18),
            None,
        ),
        (
            "a permutation of all rows (Grain, tensordict, torchdata)",
            permuted_pieces(1, ROWS),
            None,
        ),
    ]
    lines = [
        f"{ROWS:,} rows of 128 float32, sorted, batches of {BATCH}, {EPOCHS} epochs",
        "",
        "| order | measured | formula |",
        "|---|---|---|",
    ]
    for name, rows_of, formula in found:
        stated = "-" if formula is None else f"{formula:.2f}"
        lines.append(f"| {name} | {measured_variance(rows_of):,.2f} | {stated} |")
    return "\n".join(lines)


def _in_order(epoch: int) -> np.ndarray:
    return np.arange(ROWS)


def trainings() -> str:
    """Train on rows that lie sorted by the target, and draw what the shuffle does to it."""
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
    """Write mock rows in the order of their target, as a time series that drifts would lie."""
    drawn, data = folder / "drawn.npy", folder / "data.npy"
    source = write_mock_data(drawn, MockSettings(rows=300_000, features=20, noise=0.1))
    rows = np.load(drawn)
    with create(data, rows.dtype, len(rows)) as writer:
        writer.write(0, rows[np.argsort(rows["target"][:, 0])])
    return str(data), Source(source.features, source.target, "regression")


def _recipe(data: str, manifest: object, source: Source, shuffle: object) -> object:
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


def _error(recipe: object, data: str, weights: dict) -> float:
    """Return the mean squared error of a model over all rows."""
    import torch

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
