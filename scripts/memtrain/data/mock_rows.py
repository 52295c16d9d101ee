"""Mock rows: the same bytes for the same settings, however they are written.

Rows are made in chunks of a fixed size. Every chunk has random streams of its own, looked up by
(seed, chunk number), so the bytes depend neither on threads nor on the order of the chunks, and the
first rows stay the same when there are more of them. The teacher that makes the targets is summed
up term by term in a fixed order: a matrix product would differ in its last bits from one processor
to the next.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from memtrain.config.dataset import MockSettings
from memtrain.core.random_streams import stream
from memtrain.data.record_file import create, record_dtype
from memtrain.data.source import Source

#: Part of the format of mock data: another size would be other rows.
ROWS_PER_CHUNK = 8192

#: Hidden units of the teacher of ``target: mlp``.
_TEACHER_UNITS = 8


@dataclass(frozen=True)
class Teacher:
    """The fixed function behind the targets: an affine map, or two with a ReLU between them.

    Attributes:
        hidden: float32 (units, features + 1), the weights and the bias of every hidden unit; None
            for a linear teacher.
        output: float32 (outputs, inputs + 1), likewise of every output.
    """

    hidden: np.ndarray | None
    output: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return float32 (outputs, rows) for features float32 (features, rows)."""
        inputs = features
        if self.hidden is not None:
            inputs = np.maximum(_affine(self.hidden, features), np.float32(0))
        return _affine(self.output, inputs)


def make_teacher(settings: MockSettings) -> Teacher | None:
    """Return the teacher of some settings; None where nothing can be learned.

    Weights are scaled so that targets spread about 1 around 0, whatever the number of features.
    """
    if settings.target == "random":
        return None
    generator = stream(settings.seed, "mock teacher")
    outputs = settings.classes or 1
    if settings.target == "linear":
        return Teacher(None, _centred_weights(generator, outputs, settings.features, spread=1.0))
    hidden = _centred_weights(generator, _TEACHER_UNITS, settings.features, spread=1.0)
    output = generator.standard_normal((outputs, _TEACHER_UNITS + 1), dtype=np.float32)
    output *= np.float32(1.5 / math.sqrt(_TEACHER_UNITS))
    return Teacher(hidden, output)


def write_mock_data(
    path: str | os.PathLike,
    settings: MockSettings,
    threads: int = 2,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Source:
    """Write a record file of mock rows and return where they came from.

    Args:
        path: of the record file.
        settings: of the rows.
        threads: chunks that are made at the same time; the bytes do not depend on it.
        on_rows: called with the rows of each chunk that is written, in order.

    Raises:
        UserError: before the first row, where the disk is too full.
    """
    teacher = make_teacher(settings)
    dtype = mock_dtype(settings)
    chunks = range(-(-settings.rows // ROWS_PER_CHUNK))
    entropy = 0.0
    with create(path, dtype, settings.rows) as writer, ThreadPoolExecutor(threads) as pool:

        def write_chunk(number: int) -> tuple[int, float]:
            rows, chunk_entropy = make_chunk(settings, teacher, number)
            writer.write(number * ROWS_PER_CHUNK, rows)
            return len(rows), chunk_entropy

        for rows, chunk_entropy in pool.map(write_chunk, chunks):
            entropy += chunk_entropy
            on_rows(rows)
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
            "teacher": _teacher_to_json(teacher),
        },
    )


def mock_dtype(settings: MockSettings) -> np.dtype:
    """Return the dtype of a mock row."""
    target = "<i8" if settings.classes else "<f4"
    return record_dtype(features=("<f4", settings.features), target=(target, 1))


def make_chunk(
    settings: MockSettings, teacher: Teacher | None, number: int
) -> tuple[np.ndarray, float]:
    """Return the rows of one chunk, and the entropy of their classes summed over the rows.

    Args:
        settings: of the rows.
        teacher: of ``make_teacher``.
        number: 0, 1, ...
    """
    count = min(ROWS_PER_CHUNK, settings.rows - number * ROWS_PER_CHUNK)
    # A chunk is always made whole and then cut: its first rows do not depend on where it ends.
    rows = np.empty(ROWS_PER_CHUNK, mock_dtype(settings))
    features = rows["features"]
    _fill_uniform(stream(settings.seed, "mock features", number), features)
    generator = stream(settings.seed, "mock noise", number)
    outputs = teacher(np.ascontiguousarray(features.T)) if teacher else None
    if settings.classes:
        rows["target"][:, 0], entropy = _draw_classes(settings, outputs, generator)
    else:
        rows["target"][:, 0], entropy = _draw_numbers(settings, outputs, generator), None
    return rows[:count], 0.0 if entropy is None else float(entropy[:count].sum())


def _fill_uniform(generator: np.random.Generator, out: np.ndarray) -> None:
    """Fill float32 ``out`` with numbers uniform in [0, 1), multiples of 2**-23.

    Each 64 random bits make two numbers: 23 of 32 bits are the fraction of a float in [1, 2). That
    takes two thirds of the time of ``Generator.random(dtype=np.float32)``.
    """
    words = generator.integers(0, 2**64, -(-out.size // 2), dtype=np.uint64)
    bits = words.astype("<u8", copy=False).view("<u4")[: out.size].reshape(out.shape)
    bits >>= np.uint32(9)
    bits |= np.uint32(0x3F800000)
    np.subtract(bits.view("<f4"), np.float32(1), out=out)


def _draw_numbers(
    settings: MockSettings, outputs: np.ndarray | None, generator: np.random.Generator
) -> np.ndarray:
    """Return targets (rows,): the teacher's outputs and noise; without a teacher, noise alone."""
    noise = generator.standard_normal(ROWS_PER_CHUNK, dtype=np.float32)
    return noise if outputs is None else outputs[0] + np.float32(settings.noise) * noise


def _draw_classes(
    settings: MockSettings, outputs: np.ndarray | None, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return classes (rows,) and their entropy in nats (rows,).

    Adding Gumbel noise of scale t to the scores and taking the largest draws from the softmax of
    scores / t.
    """
    classes = settings.classes
    gumbel = generator.gumbel(size=(classes, ROWS_PER_CHUNK))
    if outputs is None:
        return gumbel.argmax(axis=0), np.full(ROWS_PER_CHUNK, math.log(classes))
    if settings.noise == 0:
        return outputs.argmax(axis=0), np.zeros(ROWS_PER_CHUNK)
    scores = outputs / settings.noise
    logarithms = scores - scores.max(axis=0)
    logarithms -= np.log(np.exp(logarithms).sum(axis=0))
    return (scores + gumbel).argmax(axis=0), -(np.exp(logarithms) * logarithms).sum(axis=0)


def _lowest_loss(settings: MockSettings, mean_entropy: float) -> float:
    """Return the squared error, or the cross entropy, that no model can go below on average."""
    if settings.classes:
        return mean_entropy
    return 1.0 if settings.target == "random" else settings.noise**2


def _centred_weights(
    generator: np.random.Generator, outputs: int, inputs: int, spread: float
) -> np.ndarray:
    """Return (outputs, inputs + 1) weights; on inputs uniform in [0, 1) outputs centre on 0."""
    weights = generator.standard_normal((outputs, inputs), dtype=np.float32)
    # The variance of a uniform number is 1/12.
    weights *= np.float32(spread * math.sqrt(12 / inputs))
    bias = np.zeros((outputs, 1), np.float32)
    for column in range(inputs):
        bias[:, 0] -= weights[:, column] / np.float32(2)
    return np.concatenate([weights, bias], axis=1)


def _affine(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return float32 (outputs, rows), every sum taken from the first input to the last."""
    result = np.empty((len(weights), inputs.shape[1]), np.float32)
    term = np.empty(inputs.shape[1], np.float32)
    for output, row in zip(result, weights, strict=True):
        output[:] = row[-1]
        for weight, column in zip(row[:-1], inputs, strict=True):
            np.multiply(column, weight, out=term)
            output += term
    return result


def _teacher_to_json(teacher: Teacher | None) -> dict | None:
    if teacher is None:
        return None
    hidden = None if teacher.hidden is None else teacher.hidden.tolist()
    return {"hidden": hidden, "output": teacher.output.tolist()}
