"""Rate at which mock rows are written, beside random numbers assigned to a memory map."""

import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measuring import compare
from memtrain.config.dataset import MockSettings
from memtrain.data.mock_rows import mock_dtype, write_mock_data

ROWS = 2_000_000
FEATURES = 20


def assign_random_numbers(path: Path) -> int:
    """Write features as a memory map is usually filled, and sync them to the disk."""
    rows = np.memmap(path, "float32", "w+", shape=(ROWS, FEATURES))
    rows[:] = np.random.rand(ROWS, FEATURES).astype("float32")
    rows.flush()
    return ROWS


def write_zeros(path: Path) -> int:
    """Write as many zero bytes as mock rows have: what the disk allows."""
    rows_at_once = 8192
    row_bytes = mock_dtype(MockSettings(rows=1, features=FEATURES)).itemsize
    zeros = bytes(rows_at_once * row_bytes)
    with path.open("wb") as file:
        for _ in range(ROWS // rows_at_once):
            file.write(zeros)
        os.fsync(file.fileno())
    return ROWS


def main() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER", ".")) as folder:
        path = Path(folder) / "rows"

        def generate(target: str) -> int:
            write_mock_data(path, MockSettings(rows=ROWS, features=FEATURES, target=target))
            return ROWS

        comparison = compare(
            {
                "np.random.rand into a memmap": lambda: assign_random_numbers(path),
                "generate_data, target random": lambda: generate("random"),
                "generate_data, target linear": lambda: generate("linear"),
                "generate_data, target mlp": lambda: generate("mlp"),
                "zeros (what the disk allows)": lambda: write_zeros(path),
            },
            "rows/s",
            runs=5,
            before=lambda: path.unlink(missing_ok=True),
        )
    title = f"{ROWS:,} rows of {FEATURES} features, and a target by generate_data; all are synced"
    return f"### Generating: {title}\n\n{comparison.table('np.random.rand into a memmap')}"
