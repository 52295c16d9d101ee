"""Digests and statistics of every shard, and the digests alone."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measuring import compare
from memtrain.config import MockSettings
from memtrain.manifest import auto_rows_per_shard, index_shards
from memtrain.mock_data import write_mock_data
from memtrain.record_file import map_rows, read_layout

ROWS, THREADS = 4_000_000, 2


def main() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write_mock_data(path, MockSettings(rows=ROWS, target="random"))
        layout = read_layout(path)
        rows, size = map_rows(path, layout), auto_rows_per_shard(layout)
        megabytes = rows.nbytes / 1e6

        def index() -> float:
            index_shards(path, threads=THREADS)
            return megabytes

        def hash_alone() -> float:
            shards = [rows[start : start + size] for start in range(0, ROWS, size)]
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda shard: hashlib.sha256(shard).digest(), shards))
            return megabytes

        comparison = compare({"sha256 alone": hash_alone, "index_shards": index}, "MB/s")
    title = f"{ROWS:,} rows, {megabytes:,.0f} MB in the page cache, {THREADS} threads"
    return f"### Indexing: {title}\n\n{comparison.table('sha256 alone')}"
