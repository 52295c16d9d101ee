"""Mock rows: the same settings give the same bytes, however they are written.

Rows are made in chunks of a fixed size. Every chunk has random streams of its own, looked up by
(seed, chunk number). So the bytes depend neither on the number of threads nor on the order of the
chunks, and the first rows stay the same when more rows are made.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from memtrain.config.dataset import MockSettings
from memtrain.core.random_streams import random_stream
from memtrain.data.mock_teacher import Teacher, make_teacher
from memtrain.data.record_file import create, record_dtype
from memtrain.data.source import Source

#: Rows of a chunk. Another number would make other rows.
ROWS_PER_CHUNK = 8192


@dataclass(frozen=True)
class _Chunk:
    """The rows of one chunk.

    Attributes:
        rows: the rows, records (rows,).
        entropy: entropy in nats that the classes were drawn with, summed over the rows; 0 where the
            targets are numbers.
    """

    rows: np.ndarray
    entropy: float


@dataclass(frozen=True)
class _DrawnClasses:
    """Classes that were drawn at random.

    Attributes:
        classes: the classes, integers (rows,).
        entropies: entropy of the distribution that each class was drawn from, in nats, (rows,).
    """

    classes: np.ndarray
    entropies: np.ndarray


def write_mock_data(
    path: str | os.PathLike,
    settings: MockSettings,
    threads: int = 2,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Source:
    """Write a record file of mock rows and return where they came from.

    Args:
        path: the record file.
        settings: settings of the rows.
        threads: number of chunks that are made at the same time; the bytes are always the same.
        on_rows: function that is called with the number of rows of each chunk, in order.

    Raises:
        UserError: before the first row is written, where the disk is too full.
    """
    teacher = make_teacher(settings)
    chunks = range(-(-settings.rows // ROWS_PER_CHUNK))
    entropy = 0.0
    with (
        create(path, mock_dtype(settings), settings.rows) as writer,
        ThreadPoolExecutor(threads) as pool,
    ):

        def write_chunk(number: int) -> float:
            chunk = _make_chunk(settings, teacher, number)
            writer.write(number * ROWS_PER_CHUNK, chunk.rows)
            return chunk.entropy

        for number, chunk_entropy in enumerate(pool.map(write_chunk, chunks)):
            entropy += chunk_entropy
            on_rows(_chunk_rows(settings, number))
    return Source(
        features=[f"x{column}" for column in range(settings.features)],
        target=["y"],
        task="classification" if settings.classes else "regression",
        classes=settings.classes,
        lowest_loss=_lowest_loss(settings, entropy / settings.rows),
        origin={
            "kind": "mock",
            "settings": settings.model_dump(mode="json"),
            "rows_per_chunk": ROWS_PER_CHUNK,
            "teacher": teacher and teacher.to_json(),
        },
    )


def mock_dtype(settings: MockSettings) -> np.dtype:
    """Return the dtype of a mock row."""
    target = "<i8" if settings.classes else "<f4"
    return record_dtype(features=("<f4", settings.features), target=(target, 1))


def _chunk_rows(settings: MockSettings, number: int) -> int:
    """Return the number of rows of a chunk; only the last chunk may have fewer than the others."""
    return min(ROWS_PER_CHUNK, settings.rows - number * ROWS_PER_CHUNK)


def _make_chunk(settings: MockSettings, teacher: Teacher | None, number: int) -> _Chunk:
    """Return chunk ``number``; chunks count from 0."""
    count = _chunk_rows(settings, number)
    # Every chunk is made whole and then cut, so that its first rows do not depend on its length.
    rows = np.empty(ROWS_PER_CHUNK, mock_dtype(settings))
    features = rows["features"]
    _fill_uniform(random_stream(settings.seed, "mock features", number), features)
    generator = random_stream(settings.seed, "mock noise", number)
    outputs = teacher(np.ascontiguousarray(features.T)) if teacher else None
    if settings.classes is None:
        rows["target"][:, 0] = _draw_numbers(outputs, settings.noise, generator)
        return _Chunk(rows[:count], entropy=0.0)
    drawn = _draw_classes(outputs, settings.classes, settings.noise, generator)
    rows["target"][:, 0] = drawn.classes
    return _Chunk(rows[:count], entropy=float(drawn.entropies[:count].sum()))


def _fill_uniform(generator: np.random.Generator, out: np.ndarray) -> None:
    """Fill float32 ``out`` with numbers uniform in [0, 1), multiples of 2**-23.

    Each 64 random bits make two numbers: of every 32 bits, 23 become the fraction of a float in
    [1, 2), and 1 is subtracted. This takes two thirds of the time of
    ``Generator.random(dtype=np.float32)``.
    """
    words = generator.integers(0, 2**64, -(-out.size // 2), dtype=np.uint64)
    bits = words.astype("<u8", copy=False).view("<u4")[: out.size].reshape(out.shape)
    bits >>= np.uint32(9)
    bits |= np.uint32(0x3F800000)
    np.subtract(bits.view("<f4"), np.float32(1), out=out)


def _draw_numbers(
    outputs: np.ndarray | None, noise: float, generator: np.random.Generator
) -> np.ndarray:
    """Return targets (rows,): the teacher's outputs with noise.

    Args:
        outputs: outputs of the teacher, (1, rows); None for normal noise alone.
        noise: standard deviation of the noise.
        generator: source of the noise.
    """
    drawn = generator.standard_normal(ROWS_PER_CHUNK, dtype=np.float32)
    return drawn if outputs is None else outputs[0] + np.float32(noise) * drawn


def _draw_classes(
    outputs: np.ndarray | None, classes: int, temperature: float, generator: np.random.Generator
) -> _DrawnClasses:
    """Draw a class for each row from the softmax of the teacher's outputs over a temperature.

    The class is the one whose outputs / temperature is largest after standard Gumbel noise is
    added (the Gumbel-max trick), which is a draw from the softmax.

    Args:
        outputs: outputs of the teacher, (classes, rows); None where all classes are equally
            likely.
        classes: number of classes.
        temperature: temperature of the softmax; 0 for the class of the largest output.
        generator: source of the noise.
    """
    gumbel = generator.gumbel(size=(classes, ROWS_PER_CHUNK))
    if outputs is None:
        return _DrawnClasses(gumbel.argmax(axis=0), np.full(ROWS_PER_CHUNK, math.log(classes)))
    if temperature == 0:
        return _DrawnClasses(outputs.argmax(axis=0), np.zeros(ROWS_PER_CHUNK))
    scores = outputs / temperature
    logarithms = scores - scores.max(axis=0)
    logarithms -= np.log(np.exp(logarithms).sum(axis=0))
    entropies = -(np.exp(logarithms) * logarithms).sum(axis=0)
    return _DrawnClasses((scores + gumbel).argmax(axis=0), entropies)


def _lowest_loss(settings: MockSettings, mean_entropy: float) -> float:
    """Return the lowest mean loss of any model: squared error, or cross entropy for classes."""
    if settings.classes:
        return mean_entropy
    return 1.0 if settings.target == "random" else settings.noise**2
