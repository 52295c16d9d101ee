"""Rate at which shards are indexed (digests and statistics), beside digests only."""

import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measuring import compare
from memtrain.config.dataset import MockSettings
from memtrain.data.indexing import auto_rows_per_shard, index_shards
from memtrain.data.mock_rows import write_mock_data
from memtrain.data.record_file import map_rows, read_record_layout

ROWS = 4_000_000
THREADS = 2


def hash_bytes(path: Path, start: int, end: int) -> bytes:
    """Return the digest of bytes ``[start, end)`` of a file, which is read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while start < end:
            piece = memoryview(buffer)[: end - start]
            start += os.preadv(file.fileno(), [piece], start)
            digest.update(piece)
    return digest.digest()


def main() -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write_mock_data(path, MockSettings(rows=ROWS, target="random"))
        layout = read_record_layout(path)
        rows = map_rows(path, layout)
        size = auto_rows_per_shard(layout)
        shards = [(start, min(start + size, ROWS)) for start in range(0, ROWS, size)]
        megabytes = rows.nbytes / 1e6

        def index() -> float:
            index_shards(path, threads=THREADS)
            return megabytes

        def hash_file() -> float:
            with ThreadPoolExecutor(THREADS) as pool:
                ranges = [layout.byte_range(*shard) for shard in shards]
                list(pool.map(lambda piece: hash_bytes(path, *piece), ranges))
            return megabytes

        def hash_memory() -> float:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda shard: hashlib.sha256(rows[slice(*shard)]).digest(), shards))
            return megabytes

        comparison = compare(
            {
                "sha256 of the file": hash_file,
                "index_shards": index,
                "sha256 of mapped memory": hash_memory,
            },
            "MB/s",
        )
    title = f"{ROWS:,} rows, {megabytes:,.0f} MB in the page cache, {THREADS} threads"
    return f"### Indexing: {title}\n\n{comparison.table('sha256 of the file')}"
