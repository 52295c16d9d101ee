"""What can go wrong in a training step, explained to the user."""

from collections.abc import Sequence

from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.training.accumulation.accumulator import NonFiniteLossError
from memtrain.training.optimizer_step import NonFiniteGradientError


def explain_nonfinite_loss(
    error: NonFiniteLossError, step: int, epoch: int, rows: Sequence[int]
) -> UserError:
    """Return the error for a loss that is NaN or infinite.

    Args:
        error: what the accumulator raised.
        step: number of the step: 1, 2, ...
        epoch: number of the epoch: 1, 2, ...
        rows: numbers of the rows in the micro-batch.
    """
    return UserError(
        f"the loss is {error.loss} at step {step} (epoch {epoch}), in the micro-batch of the rows "
        f"{listed(sorted(rows))}. Look at these rows; if they are sound, bring large values to a "
        "common scale (`transform: standardize`, `target: standardize`), or lower the learning "
        "rate (training.optimizer.lr)."
    )


def explain_nonfinite_gradient(error: NonFiniteGradientError, step: int, epoch: int) -> UserError:
    """Return the error for a gradient that is NaN or infinite although its loss is finite.

    Args:
        error: what the optimizer step raised.
        step: number of the step: 1, 2, ...
        epoch: number of the epoch: 1, 2, ...
    """
    return UserError(
        f"the loss is finite, but the norm of its gradient is {error.norm} at step {step} (epoch "
        f"{epoch}). Look for a function in the model or the loss whose slope is infinite (a square "
        "root or a logarithm at 0, a division by 0); if there is none, lower the learning rate "
        "(training.optimizer.lr), or use `precision: float32` or `bfloat16`."
    )


def explain_nondeterminism(error: RuntimeError) -> UserError | None:
    """Return the error for an operation that PyTorch cannot repeat; None for any other error."""
    if "deterministic" not in str(error):
        return None
    return UserError(
        f"training.reduction: {str(error).splitlines()[0]} The model or the loss uses this "
        "operation, so that its training cannot be reproduced. Use another operation, train on "
        "the CPU (training.device), or set `reduction: fast`, which does not promise the same "
        "bytes."
    )
