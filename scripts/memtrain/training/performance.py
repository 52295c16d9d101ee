"""``performance.json``: what a training cost, which depends on the machine."""

import os
import socket
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from memtrain.core.errors import UserError
from memtrain.system import canonical_json
from memtrain.system.memory import peak_memory_bytes

if TYPE_CHECKING:
    import torch


@dataclass
class TrainingCost:
    """What a training has cost so far, summed over all its runs.

    It is saved with every checkpoint. Of a run that was killed, only the part before its last
    checkpoint is counted; if it saved no checkpoint, nothing is.

    Attributes:
        rows: rows that all processes have trained on.
        seconds: time spent training, from the first step of each run to its end.
        waiting_seconds: part of ``seconds`` spent waiting for rows.
        saving_seconds: part of ``seconds`` spent saving checkpoints.
        validating_seconds: part of ``seconds`` spent on validations.
        gradient_seconds: part of ``seconds`` in which this process computed gradients.
        exchanging_seconds: part of ``seconds`` in which it exchanged them with other processes,
            waiting for them included.
        steps: optimizer steps.
        runs: number of runs.
    """

    rows: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    saving_seconds: float = 0.0
    validating_seconds: float = 0.0
    gradient_seconds: float = 0.0
    exchanging_seconds: float = 0.0
    steps: int = 0
    runs: int = 0

    @property
    def rows_per_second(self) -> float | None:
        """Rows trained on per second; None before the first step."""
        return self.rows / self.seconds if self.seconds else None

    @property
    def waiting_share(self) -> float | None:
        """Share of the time spent waiting for rows; None before the first step."""
        return self.waiting_seconds / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Performance:
    """The content of ``performance.json``.

    Attributes:
        seconds: duration of the training without the start of the program, summed over its runs;
            see ``TrainingCost`` for what is counted.
        rows_per_second: rows that all processes trained on, divided by ``seconds``.
        waiting_share: share of ``seconds`` spent waiting for rows.
        saving_share: share of ``seconds`` spent saving checkpoints.
        validating_share: share of ``seconds`` spent on validations.
        runs: number of runs: 1, and one more for every run that saved a checkpoint and was
            stopped or killed.
        processes: how many processes trained together in the last run.
        peak_memory_bytes: largest resident memory of the process that writes the file, rank 0.
        peak_gpu_memory_bytes: largest memory that PyTorch took on the GPU; None without a GPU.
        device: name of the GPU, or "cpu".
        threads: threads of PyTorch.
        host: name of the machine.
        torch: version of PyTorch.
        gradient_share: share of ``seconds`` in which rank 0 computed gradients.
        exchanging_share: share of ``seconds`` in which rank 0 exchanged gradients with other
            processes, waiting for them included. Files of earlier versions do not have it.
    """

    seconds: float
    rows_per_second: float
    waiting_share: float
    saving_share: float
    validating_share: float
    runs: int
    processes: int
    peak_memory_bytes: int
    peak_gpu_memory_bytes: int | None
    device: str
    threads: int
    host: str
    torch: str
    gradient_share: float | None = None
    exchanging_share: float | None = None

    def write(self, path: str | os.PathLike) -> None:
        """Write ``performance.json``."""
        canonical_json.write(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Performance | None":
        """Read ``performance.json``; return None if it is missing or damaged.

        Nobody trains again to know how long it took.
        """
        try:
            content = canonical_json.read(path, made_by="train")
            values = {
                field.name: content[field.name]
                for field in fields(cls)
                if field.name in content or field.default is MISSING
            }
        except (UserError, KeyError, TypeError):
            return None
        return _from_values(values)


def _from_values(values: dict[str, Any]) -> Performance | None:
    """Return the performance that has these values; None where one is of another type."""
    try:
        return _performance_type().validate_python(values)
    except ValidationError:
        return None


@cache
def _performance_type() -> TypeAdapter[Performance]:
    return TypeAdapter(Performance)


def measure_performance(cost: TrainingCost, processes: int, device: "torch.device") -> Performance:
    """Return the performance of a training that has just ended in this process.

    Args:
        cost: time and rows of the training; at least one step.
        processes: how many processes trained together.
        device: device of this process.
    """
    # PyTorch is imported here, so that programs which only read the file need not wait for it.
    import torch

    on_gpu = device.type == "cuda"
    return Performance(
        seconds=cost.seconds,
        rows_per_second=cost.rows / cost.seconds,
        waiting_share=cost.waiting_seconds / cost.seconds,
        saving_share=cost.saving_seconds / cost.seconds,
        validating_share=cost.validating_seconds / cost.seconds,
        runs=cost.runs,
        processes=processes,
        peak_memory_bytes=peak_memory_bytes(),
        peak_gpu_memory_bytes=torch.cuda.max_memory_allocated(device) if on_gpu else None,
        device=torch.cuda.get_device_name(device) if on_gpu else "cpu",
        threads=torch.get_num_threads(),
        host=socket.gethostname(),
        torch=torch.__version__,
        gradient_share=cost.gradient_seconds / cost.seconds,
        exchanging_share=cost.exchanging_seconds / cost.seconds,
    )
