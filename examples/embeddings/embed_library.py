"""Put embeddings of Python's own library next to this script: a matrix and labels, in two files.

The source text of eight packages of the standard library is cut into passages of 512 bytes. The
trigrams of a passage are counted in buckets, and the logarithms of the counts are projected to 256
random directions. The label of a passage is its package.

Written are data/embeddings.npy, float16 (passages, 256), and data/labels.npy, int64 (passages,).
Nothing is downloaded.
"""

import argparse
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

#: Packages that every Python 3.11 and newer has; the position of a package is its label.
PACKAGES = (
    "asyncio",
    "ctypes",
    "email",
    "http",
    "importlib",
    "multiprocessing",
    "unittest",
    "xml",
)
PASSAGE_BYTES = 512
BUCKETS = 1 << 12
DIRECTIONS = 256
SEED = 20250130

#: An odd number of 32 bits whose bits look random, for multiplicative hashing (Knuth, TAOCP 6.4).
MULTIPLIER = np.uint32(2654435769)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(__file__).parent / "data",
        help="the folder to write to (default: data beside this script)",
    )
    return parser.parse_args(argv)


def source_files(library: Path) -> list[tuple[Path, int]]:
    """Return the source files of all packages with their labels, the packages mixed evenly.

    Any stretch of the files has about its share of every package, so the last fifth of the rows
    has a fifth of each package, in files that the rows before are not of.
    """
    shares = [
        (share, path, label)
        for label, package in enumerate(PACKAGES)
        for share, path in _shares_of_package(library / package)
    ]
    return [(path, label) for _, path, label in sorted(shares)]


def _shares_of_package(package: Path) -> Iterator[tuple[float, Path]]:
    """Yield the files of a package, in random order, each with the share that lies before it.

    The order depends on the names of the files alone. The middle of a file is what counts.
    """
    tests = package / "test"
    files = [path for path in package.rglob("*.py") if tests not in path.parents]
    files.sort(key=lambda path: hashlib.sha256(path.name.encode()).digest())
    sizes = [path.stat().st_size for path in files]
    before = 0
    for path, size in zip(files, sizes, strict=True):
        yield (before + size / 2) / sum(sizes), path
        before += size


def passages(files: list[tuple[Path, int]]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the passages of every file, uint8 (passages, PASSAGE_BYTES), and its label."""
    for path, label in files:
        text = np.frombuffer(path.read_bytes(), np.uint8)
        whole = len(text) // PASSAGE_BYTES * PASSAGE_BYTES
        yield text[:whole].reshape(-1, PASSAGE_BYTES), label


def embed(texts: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return the embeddings of passages.

    Args:
        texts: uint8 (passages, PASSAGE_BYTES).
        directions: float32 (BUCKETS, DIRECTIONS).

    Returns:
        float16 (passages, DIRECTIONS), each of length 1 before it is rounded.
    """
    letters = texts.astype(np.uint32)
    trigrams = letters[:, :-2] << 16 | letters[:, 1:-1] << 8 | letters[:, 2:]
    buckets = (trigrams * MULTIPLIER) >> np.uint32(32 - BUCKETS.bit_length() + 1)
    places = buckets + np.arange(len(texts), dtype=np.int64)[:, np.newaxis] * BUCKETS
    counts = np.bincount(places.ravel(), minlength=len(texts) * BUCKETS)
    embedded = np.log1p(counts.reshape(len(texts), BUCKETS)).astype(np.float32) @ directions
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    return embedded.astype(np.float16)


def library_embeddings() -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings, float16 (passages, DIRECTIONS), and labels, int64 (passages,)."""
    files = source_files(Path(sysconfig.get_path("stdlib")))
    missing = set(range(len(PACKAGES))) - {label for _, label in files}
    if missing:
        names = ", ".join(PACKAGES[label] for label in sorted(missing))
        sys.exit(f"the library of this Python has no source text of {names}; use another Python")
    directions = np.random.default_rng(SEED).standard_normal((BUCKETS, DIRECTIONS), np.float32)
    embeddings, labels = [], []
    for texts, label in passages(files):
        embeddings.append(embed(texts, directions))
        labels.append(np.full(len(texts), label, np.int64))
    return np.concatenate(embeddings), np.concatenate(labels)


def save(path: Path, array: np.ndarray) -> None:
    """Write an array as .npy, which appears under its name only when it is complete."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        np.save(file, array)
    os.replace(temporary, path)


def main(argv: list[str] | None = None) -> int:
    """Write both files."""
    folder = parse_arguments(argv).data
    embeddings, labels = library_embeddings()
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "embeddings.npy", embeddings)
    save(folder / "labels.npy", labels)
    print(f"{folder}: {len(labels):,} embeddings of {DIRECTIONS} numbers, and their labels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
