"""What a job requests of a cluster, from the work that it does: memory in MB, time in minutes.

Rates and sizes were measured on two cores of a virtual machine and are raised by a margin. The
second try of a job requests twice as much, the third three times as much, and so on.
"""

import math

from memtrain.recipes.recipe_facts import Workload

#: Memory of a process that has imported PyTorch, in MB.
_MB_OF_PYTORCH = 450

#: Factor by which measured memory is raised.
_MARGIN = 1.25

#: Minutes that a job may take to begin and to end.
_MINUTES_AT_LEAST = 5

#: How many times longer than measured a job may take.
_TIMES_SLOWER = 3

#: Time of a micro-batch of a tiny model, which is spent on calls and not on sums.
_SECONDS_PER_MICRO_BATCH = 4e-4

#: Speed of sums and products of one core.
OPERATIONS_PER_SECOND = 5e9

#: Speed of reading rows.
_BYTES_PER_SECOND = 50e6

#: Metrics: memory of their packages, and what they keep of a row and take for it.
_MB_OF_METRICS = 700
_BYTES_PER_ROW_EVALUATED = 256
_SECONDS_PER_ROW_EVALUATED = 2e-5

#: What a bootstrap resample of the metrics takes.
_BYTES_PER_RESAMPLE = 18e3
_SECONDS_PER_RESAMPLE = 1e-3

#: Figures: memory of the packages that draw them, in MB, and what a row and a step of the history
#: take. On a cluster, Snakemake runs inside of the job, and takes as much memory as these packages.
#: Predictions are counted in flat memory.
_MB_OF_FIGURES = 500
_SECONDS_PER_ROW_DRAWN = 5e-6
_SECONDS_PER_STEP_DRAWN = 3e-6
_BYTES_PER_STEP_DRAWN = 100

#: Small networks compute all slots of a window in one call, which takes this memory at most.
_MOST_BYTES_TOGETHER = 128 << 20

#: Share of the forward pass in the operations of the forward and the backward pass.
_SHARE_OF_FORWARD = 1 / 3


def memory_mb(measured_mb: float, attempt: int = 1) -> int:
    """Return the MB that a job should request.

    Args:
        measured_mb: memory that such a job was seen to use.
        attempt: 1 for the first try of the job.
    """
    return math.ceil(measured_mb * _MARGIN * attempt)


def minutes(seconds: float, attempt: int = 1) -> int:
    """Return the minutes that a job should request.

    Args:
        seconds: time that such a job was seen to take.
        attempt: 1 for the first try of the job.
    """
    return math.ceil((_MINUTES_AT_LEAST + seconds * _TIMES_SLOWER / 60) * attempt)


def memory_of_training(workload: Workload, attempt: int = 1, processes: int = 0) -> int:
    """Return the MB that a training requests: for PyTorch, rows, model and one micro-batch.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
        processes: the number of processes that ``torchrun`` starts on a machine, each of which
            needs as much, while torchrun itself has imported PyTorch too. 0 for a training without
            torchrun.
    """
    estimate = workload.estimate
    micro_batch = workload.batch_size * estimate.bytes_per_row
    together = min(micro_batch * workload.accumulation_steps, _MOST_BYTES_TOGETHER)
    needed = estimate.loading_bytes + estimate.model_bytes + max(micro_batch, together)
    per_process = _MB_OF_PYTORCH + needed / 1e6
    if workload.rows_validated:
        per_process += _MB_OF_METRICS - _MB_OF_PYTORCH
    in_all = processes * per_process + _MB_OF_PYTORCH if processes else per_process
    return memory_mb(in_all, attempt)


def minutes_of_training(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes that a training in one process requests.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
    """
    return minutes(seconds_of_training(workload), attempt)


def seconds_of_training(
    workload: Workload, operations_per_second: float = OPERATIONS_PER_SECOND
) -> float:
    """Return the seconds that a training in one process takes.

    Args:
        workload: the work of the split's jobs.
        operations_per_second: speed of sums and products; that of one core if not given.
    """
    estimate = workload.estimate
    per_row = (
        estimate.operations_per_row / operations_per_second + estimate.row_bytes / _BYTES_PER_SECOND
    )
    calls = workload.micro_batches_per_epoch * _SECONDS_PER_MICRO_BATCH
    validating = workload.rows_validated * _seconds_per_row_evaluated(workload)
    return workload.epochs * (calls + workload.training_rows * per_row) + validating


def memory_of_evaluation(workload: Workload, attempt: int = 1) -> int:
    """Return the MB that an evaluation requests: for PyTorch, metrics, model and rows.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
    """
    rows = workload.evaluation_rows * _BYTES_PER_ROW_EVALUATED
    resamples = workload.resamples * _BYTES_PER_RESAMPLE
    needed = rows + resamples + workload.estimate.model_bytes
    return memory_mb(_MB_OF_METRICS + needed / 1e6, attempt)


def minutes_of_evaluation(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes that an evaluation requests.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
    """
    return minutes(seconds_of_evaluation(workload), attempt)


def seconds_of_evaluation(workload: Workload) -> float:
    """Return the seconds that an evaluation takes.

    Args:
        workload: the work of the split's jobs.
    """
    per_row = _seconds_per_row_evaluated(workload)
    return workload.evaluation_rows * per_row + workload.resamples * _SECONDS_PER_RESAMPLE


def _seconds_per_row_evaluated(workload: Workload) -> float:
    estimate = workload.estimate
    return (
        _SHARE_OF_FORWARD * estimate.operations_per_row / OPERATIONS_PER_SECOND
        + estimate.row_bytes / _BYTES_PER_SECOND
        + _SECONDS_PER_ROW_EVALUATED
    )


def memory_of_drawing(workload: Workload, attempt: int = 1) -> int:
    """Return the MB that a job requests to draw the figures of a split.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
    """
    return memory_mb(_MB_OF_FIGURES + _steps(workload) * _BYTES_PER_STEP_DRAWN / 1e6, attempt)


def minutes_of_drawing(workload: Workload, attempt: int = 1) -> int:
    """Return the minutes that a job requests to draw the figures of a split.

    Args:
        workload: the work of the split's jobs.
        attempt: 1 for the first try of the job.
    """
    return minutes(seconds_of_drawing(workload), attempt)


def seconds_of_drawing(workload: Workload) -> float:
    """Return the seconds that the figures of a split take.

    Args:
        workload: the work of the split's jobs.
    """
    per_row = _SECONDS_PER_ROW_DRAWN + workload.estimate.row_bytes / _BYTES_PER_SECOND
    counting = workload.evaluation_rows * per_row
    return counting + _steps(workload) * _SECONDS_PER_STEP_DRAWN


def _steps(workload: Workload) -> int:
    """Return the optimizer steps of a training."""
    steps_per_epoch = math.ceil(workload.micro_batches_per_epoch / workload.accumulation_steps)
    return workload.epochs * steps_per_epoch
