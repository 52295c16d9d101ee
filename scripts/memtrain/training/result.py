"""What a training leaves: weights, history and performance, written each to its file."""

import csv
import io
import os
import socket
from dataclasses import asdict, astuple, dataclass, fields

import safetensors.torch
import torch

from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_bytes, write_text
from memtrain.system.memory import peak_memory_bytes

#: The key of the recipe's digest in the metadata of ``model.safetensors``. The only key there:
#: safetensors writes several in no fixed order, and the file is promised to be the same bytes.
RECIPE_KEY = "recipe"


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step, a line of ``history.csv``.

    Attributes:
        step: 1, 2, ...
        epoch: 1, 2, ...
        rows: of the accumulation window.
        loss: the mean loss of a row of the window, before the step.
        learning_rate: that the step was taken with (of the first parameter group).
        gradient_norm: Euclidean norm of the accumulated gradient.
    """

    step: int
    epoch: int
    rows: int
    loss: float
    learning_rate: float
    gradient_norm: float


@dataclass
class TrainingCost:
    """What a training has cost so far, all its runs.

    Attributes:
        rows: that were trained on, by all processes.
        seconds: from the first step of a run to its end.
        waiting_seconds: of these, for rows.
        saving_seconds: of these, for checkpoints.
        runs: how many times it was started.
    """

    rows: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    saving_seconds: float = 0.0
    runs: int = 0


@dataclass(frozen=True)
class Performance:
    """What depends on the machine.

    Attributes:
        seconds: of the whole training, all its runs, without the start of the program.
        rows_per_second: rows that were trained on, by all processes, over ``seconds``.
        waiting_share: the share of ``seconds`` that was spent waiting for rows.
        saving_share: the share of ``seconds`` that was spent saving checkpoints.
        runs: how many times the training was started, once and after every stop.
        processes: that trained together, in the last run.
        peak_memory_bytes: the largest resident memory of the process so far.
        peak_gpu_memory_bytes: the largest memory that PyTorch took on the GPU; null without one.
        device: what the model was trained on.
        threads: of PyTorch.
        host: the machine's name.
        torch: PyTorch's version.
    """

    seconds: float
    rows_per_second: float
    waiting_share: float
    saving_share: float
    runs: int
    processes: int
    peak_memory_bytes: int
    peak_gpu_memory_bytes: int | None
    device: str
    threads: int
    host: str
    torch: str

    @classmethod
    def measured(cls, cost: TrainingCost, processes: int, device: torch.device) -> "Performance":
        """Return the performance of a training that just ended in this process."""
        on_gpu = device.type == "cuda"
        return cls(
            seconds=cost.seconds,
            rows_per_second=cost.rows / cost.seconds,
            waiting_share=cost.waiting_seconds / cost.seconds,
            saving_share=cost.saving_seconds / cost.seconds,
            runs=cost.runs,
            processes=processes,
            peak_memory_bytes=peak_memory_bytes(),
            peak_gpu_memory_bytes=torch.cuda.max_memory_allocated(device) if on_gpu else None,
            device=torch.cuda.get_device_name(device) if on_gpu else "cpu",
            threads=torch.get_num_threads(),
            host=socket.gethostname(),
            torch=torch.__version__,
        )


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and what happened on the way.

    Attributes:
        recipe_digest: of the training part of the recipe.
        weights: of the model.
        history: of all steps.
        order_digest: of the rows that were visited, in their order; see ``visiting_order``.
        performance: what depends on the machine.
    """

    recipe_digest: str
    weights: dict[str, torch.Tensor]
    history: list[StepRecord]
    order_digest: str
    performance: Performance

    def write(
        self, model: str | os.PathLike, history: str | os.PathLike, performance: str | os.PathLike
    ) -> None:
        """Write the three files; the first two are functions of recipe and code alone."""
        # Copies, since weights that are tied share their memory and safetensors refuses that.
        tensors = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in self.weights.items()
        }
        metadata = {RECIPE_KEY: self.recipe_digest}
        write_bytes(model, safetensors.torch.save(tensors, metadata=metadata))
        write_text(history, _as_csv(self.history))
        canonical_json.write(performance, asdict(self.performance))


def records_to_tensor(history: list[StepRecord]) -> torch.Tensor:
    """Return a history as numbers, float64 (steps, fields); exact, as all fields fit."""
    return torch.tensor([astuple(record) for record in history], dtype=torch.float64)


def records_from_tensor(numbers: torch.Tensor) -> list[StepRecord]:
    """Return the history that ``records_to_tensor`` wrote down."""
    kinds = [field.type for field in fields(StepRecord)]
    return [
        StepRecord(*(kind(value) for kind, value in zip(kinds, row, strict=True)))
        for row in numbers.tolist()
    ]


def _as_csv(history: list[StepRecord]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(StepRecord)])
    writer.writerows(astuple(record) for record in history)
    return text.getvalue()
