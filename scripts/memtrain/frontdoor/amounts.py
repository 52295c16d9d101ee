"""How large the model and the steps of its training are, by the number of rows."""

import math
from dataclasses import dataclass

#: Share of the rows that are trained on.
_TRAINED = 0.8

#: Micro-batches of a step: as many processes can share one.
_ACCUMULATION_STEPS = 4

#: Steps that a training takes at most, and the fewest and the most epochs.
_MOST_STEPS = 8000
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 200

#: For tables of fewer rows than the first number: rows of a step, and sizes of hidden layers.
_SIZES: tuple[tuple[float, int, tuple[int, ...]], ...] = (
    (500, 16, (16,)),
    (5_000, 32, (64,)),
    (50_000, 128, (128, 64)),
    (1_000_000, 512, (256, 128)),
    (math.inf, 2048, (256, 128)),
)


@dataclass(frozen=True)
class Amounts:
    """Numbers of a training.

    Attributes:
        hidden: sizes of the hidden layers.
        why_hidden: why they have these sizes.
        batch_size: rows of a micro-batch.
        accumulation_steps: micro-batches of a step.
        epochs: most passes over the training rows.
        patience: validations without progress after which it ends.
    """

    hidden: tuple[int, ...]
    why_hidden: str
    batch_size: int
    accumulation_steps: int
    epochs: int
    patience: int


def amounts_for(rows: int) -> Amounts:
    """Return the numbers of a training for a table of so many rows."""
    window, hidden = next((size, layers) for most, size, layers in _SIZES if rows < most)
    steps_per_epoch = max(1, math.ceil(rows * _TRAINED / window))
    epochs = min(max(_MOST_STEPS // steps_per_epoch, _FEWEST_EPOCHS), _MOST_EPOCHS)
    return Amounts(
        hidden=hidden,
        why_hidden="small, as the table is" if rows < _SIZES[1][0] else "larger for more rows",
        batch_size=window // _ACCUMULATION_STEPS,
        accumulation_steps=_ACCUMULATION_STEPS,
        epochs=epochs,
        patience=max(2, min(20, epochs // 5)),
    )
