"""What it costs to record a job, and to compare digests of shards before a training."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import spread
from benchmarks.trainings import Sizes, make_training
from memtrain.config.dataset import MockSettings
from memtrain.data.indexing import index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.recipes.integrity import check_pieces
from memtrain.recipes.recipe import Piece

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
RUNS = 9

#: Sizes of the training that is recorded.
SIZES = Sizes(features=20, hidden=(64,), rows=20_000, batch_size=16, accumulation_steps=8, epochs=1)

#: Rows of about 2 GB, whose digests are compared.
CHECKED_ROWS = MockSettings(rows=4_000_000, features=120, target="random")


def script_seconds(folder: Path, script: str, *arguments: str) -> float:
    """Return the seconds from the start of a script to its end."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, SCRIPTS / f"{script}.py", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start


def seconds_added(folder: Path, script: str, *arguments: str) -> list[float]:
    """Return the seconds that recording adds to a script, for every pair of runs."""
    added = []
    for run in range(RUNS + 1):
        without = script_seconds(folder, script, *arguments)
        recorded = script_seconds(folder, script, *arguments, "--records", "records")
        if run:
            added.append(recorded - without)
    return added


def recording_lines(folder: Path) -> list[str]:
    """Return lines of a table: what recording adds to a short job and to a training."""
    training = make_training(folder, SIZES)
    training.recipe.write(folder / "split.json")
    data = ["--data", training.data]
    outputs = ["--model", "m", "--history", "h", "--performance", "p"]
    no_check = ["--lineage", "{verify_shards: none}"]
    index = seconds_added(folder, "index_shards", *data, "--manifest", "manifest.json")
    train = seconds_added(folder, "train", *data, "--split", "split.json", *outputs, *no_check)
    return [
        f"| index_shards | {spread(index, '{:.2f}')} | {statistics.median(index) / 60:.2%} |",
        f"| train | {spread(train, '{:.2f}')} | {statistics.median(train) / 60:.2%} |",
    ]


def checking_lines(folder: Path) -> list[str]:
    """Return lines of a table: the time to compare digests of a file in the page cache."""
    path = folder / "checked.npy"
    write_mock_data(path, CHECKED_ROWS)
    manifest = index_shards(path)
    pieces = [
        Piece(start=shard.rows.start, end=shard.rows.end, digest=shard.digest)
        for shard in manifest.shards
    ]
    gigabytes = path.stat().st_size / 1e9
    lines = []
    for how in ("sample", "all"):
        seconds = []
        for _ in range(RUNS):
            start = time.perf_counter()
            count = check_pieces(path, pieces, how, manifest.grid)
            seconds.append(time.perf_counter() - start)
        lines.append(
            f"| {how} | {count} of {len(pieces)} | {spread(seconds, '{:.3f}')} | "
            f"{statistics.median(seconds) / gigabytes:.3f} |"
        )
    return lines


def main() -> str:
    """Return the tables."""
    with tempfile.TemporaryDirectory() as folder:
        recorded = recording_lines(Path(folder))
        checked = checking_lines(Path(folder))
    return "\n".join(
        [
            "| a record of | adds seconds, median (range) | share of a job of one minute |",
            "|---|---|---|",
            *recorded,
            "",
            "| verify_shards, 1.9 GB, cached | shards | seconds, median (range) | seconds a GB |",
            "|---|---|---|---|",
            *checked,
        ]
    )
