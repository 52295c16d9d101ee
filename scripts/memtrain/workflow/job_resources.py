"""What a job asks of a cluster, from the work that it does: memory in MB, time in minutes.

Rates and sizes were measured on two cores of a virtual machine, and are taken with a margin. A job
that was sent again asks for as many times more: ``attempt`` is 1 for the first try.
"""

import math

from memtrain.recipes.recipe_facts import Workload

#: A process that has imported PyTorch, in MB, and the share that estimates are raised by.
_MB_OF_PYTORCH, _MARGIN = 450, 1.25

#: To begin and to end, in minutes, and how many times longer than measured a job may take.
_MINUTES_AT_LEAST, _TIMES_SLOWER = 5, 3

#: Seconds of a micro-batch whose sums take no time; operations and bytes of rows a second.
_SECONDS_PER_MICRO_BATCH, _OPERATIONS_PER_SECOND, _BYTES_PER_SECOND = 4e-4, 5e9, 50e6

#: Metrics: their packages, in MB, and what they keep of a row and take for it.
_MB_OF_METRICS, _BYTES_PER_ROW_EVALUATED, _SECONDS_PER_ROW_EVALUATED = 700, 256, 2e-5

#: Figures: memory of the packages that draw them, in MB, and what a row and a step of the history
#: take. Predictions are counted in flat memory.
_MB_OF_FIGURES = 200
_SECONDS_PER_ROW_DRAWN = 5e-6
_SECONDS_PER_STEP_DRAWN = 3e-6
_BYTES_PER_STEP_DRAWN = 100

#: Small networks have all slots of a window computed in one call.
_MOST_BYTES_TOGETHER = 128 << 20

#: The forward pass alone, of the operations of forward and backward.
_SHARE_OF_FORWARD = 1 / 3


def memory_mb(measured_mb: float, attempt: int = 1) -> int:
    """Return the MB to ask for, of a job that was seen to take so many."""
    return math.ceil(measured_mb * _MARGIN * attempt)


def minutes(seconds: float, attempt: int = 1) -> int:
    """Return the minutes to ask for, of a job that was seen to take so many seconds."""
    return math.ceil((_MINUTES_AT_LEAST + seconds * _TIMES_SLOWER / 60) * attempt)


def memory_of_training(workload: Workload, attempt: int = 1, processes: int = 0) -> int:
    """Return the MB of a training: of PyTorch, its rows, its model, and one micro-batch.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
        processes: that ``torchrun`` starts on a machine, each of which takes as much; it has
            imported PyTorch itself. 0 for a training that runs without it.
    """
    estimate = workload.estimate
    micro_batch = workload.batch_size * estimate.bytes_per_row
    together = min(micro_batch * workload.accumulation_steps, _MOST_BYTES_TOGETHER)
    needed = estimate.loading_bytes + estimate.model_bytes + max(micro_batch, together)
    of_one = _MB_OF_PYTORCH + needed / 1e6
    of_all = processes * of_one + _MB_OF_PYTORCH if processes else of_one
    return memory_mb(of_all, attempt)


def minutes_of_training(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes of a training on one process.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
    """
    estimate = workload.estimate
    per_row = (
        estimate.operations_per_row / _OPERATIONS_PER_SECOND
        + estimate.row_bytes / _BYTES_PER_SECOND
    )
    calls = workload.micro_batches_per_epoch * _SECONDS_PER_MICRO_BATCH
    per_epoch = calls + workload.training_rows * per_row
    return minutes(workload.epochs * per_epoch, attempt)


def memory_of_evaluation(workload: Workload, attempt: int = 1) -> int:
    """Return the MB of an evaluation: of PyTorch and the metrics, and its rows.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
    """
    rows = workload.evaluation_rows * _BYTES_PER_ROW_EVALUATED
    return memory_mb(_MB_OF_METRICS + (rows + workload.estimate.model_bytes) / 1e6, attempt)


def minutes_of_evaluation(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes of an evaluation.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
    """
    estimate = workload.estimate
    per_row = (
        _SHARE_OF_FORWARD * estimate.operations_per_row / _OPERATIONS_PER_SECOND
        + estimate.row_bytes / _BYTES_PER_SECOND
        + _SECONDS_PER_ROW_EVALUATED
    )
    return minutes(workload.evaluation_rows * per_row, attempt)


def memory_of_drawing(workload: Workload, attempt: int = 1) -> int:
    """Return the MB that drawing the figures of a split takes.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
    """
    return memory_mb(_MB_OF_FIGURES + _steps(workload) * _BYTES_PER_STEP_DRAWN / 1e6, attempt)


def minutes_of_drawing(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes that drawing the figures of a split takes.

    Args:
        workload: work of the split's jobs, by its recipe.
        attempt: the number of this try.
    """
    per_row = _SECONDS_PER_ROW_DRAWN + workload.estimate.row_bytes / _BYTES_PER_SECOND
    counting = workload.evaluation_rows * per_row
    return minutes(counting + _steps(workload) * _SECONDS_PER_STEP_DRAWN, attempt)


def _steps(workload: Workload) -> int:
    """Return the optimizer steps of a training."""
    steps_per_epoch = math.ceil(workload.micro_batches_per_epoch / workload.accumulation_steps)
    return workload.epochs * steps_per_epoch
