"""What a record costs a job, and what it costs to compare digests before a training."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import spread
from benchmarks.training_speed import recipe_of
from memtrain.config.dataset import MockSettings
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.recipes.integrity import check_pieces
from memtrain.recipes.recipe import Piece

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
RUNS = 9

#: Of about 2 GB.
CHECKED = MockSettings(rows=4_000_000, features=120, target="random")


def seconds_of(folder: Path, script: str, *arguments: str) -> float:
    """Return how long a script takes, from its start to its end."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, SCRIPTS / f"{script}.py", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start


def costs(folder: Path, script: str, *arguments: str) -> list[float]:
    """Return by how many seconds a script is longer with a record, run by run, in turn."""
    found = []
    for run in range(RUNS + 1):
        without = seconds_of(folder, script, *arguments)
        recorded = seconds_of(folder, script, *arguments, "--records", "records")
        if run:
            found.append(recorded - without)
    return found


def recording(folder: Path) -> list[str]:
    """Return lines of a table: what a record adds to a short job and to a training."""
    recipe, data = recipe_of(folder, (20, [64], 20_000, 16, 8, 1))
    recipe.write(folder / "split.json")
    outputs = ["--model", "m", "--history", "h", "--performance", "p"]
    none = ["--lineage", "{verify_shards: none}"]
    index = costs(folder, "index_shards", "--data", data, "--manifest", "manifest.json")
    train = costs(folder, "train", "--data", data, "--split", "split.json", *outputs, *none)
    return [
        f"| index_shards | {spread(index, '{:.2f}')} | {statistics.median(index) / 60:.2%} |",
        f"| train | {spread(train, '{:.2f}')} | {statistics.median(train) / 60:.2%} |",
    ]


def checking(folder: Path) -> list[str]:
    """Return lines of a table: comparing digests of a file in the page cache."""
    path = folder / "checked.npy"
    write_mock_data(path, CHECKED)
    manifest = index_shards(path)
    pieces = [
        Piece(start=shard.rows.start, end=shard.rows.end, digest=shard.digest)
        for shard in manifest.shards
    ]
    gigabytes, lines = path.stat().st_size / 1e9, []
    for how in ("sample", "all"):
        seconds = []
        for _ in range(RUNS):
            start = time.perf_counter()
            count = check_pieces(path, pieces, how, manifest.rows_per_shard)
            seconds.append(time.perf_counter() - start)
        lines.append(
            f"| {how} | {count} of {len(pieces)} | {spread(seconds, '{:.3f}')} | "
            f"{statistics.median(seconds) / gigabytes:.3f} |"
        )
    return lines


def main() -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as folder:
        jobs, checks = recording(Path(folder)), checking(Path(folder))
    return "\n".join(
        [
            "| a record of | adds seconds, median (range) | share of a job of one minute |",
            "|---|---|---|",
            *jobs,
            "",
            "| verify_shards, 1.9 GB, cached | shards | seconds, median (range) | seconds a GB |",
            "|---|---|---|---|",
            *checks,
        ]
    )
