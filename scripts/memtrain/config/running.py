"""How rows are read and trainings are run: settings that change no result."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from memtrain.config.types import FROM_TEXT, Bytes, Count, CountOrAuto, Settings

#: When the rows of a training are copied to the disk of its node.
Stage = Literal["never", "auto", "always"]

#: When jobs come from a process that has imported PyTorch already.
ForkServer = Literal["never", "auto", "always"]


class LoadingSettings(Settings):
    """How rows are read from the disk. None of it changes a result or trains a model again."""

    reader: Literal["auto", "mmap", "pread", "direct"] = Field(
        default="auto",
        description="How blocks of rows are read. mmap: rows are used where they are mapped; "
        "pread: blocks are read into memory; direct: blocks are read past the page cache; auto: "
        "pread on network file systems; elsewhere mmap where the rows fit into the memory that is "
        "free, and direct where they do not, decided anew for every epoch.",
    )
    mapped_files: Annotated[int, Field(ge=0, le=10**9), FROM_TEXT] | Literal["auto"] = Field(
        default="auto",
        description="Number of files that are mapped at a time, by the reader mmap; the files of "
        "fields that do not fit into it are read. auto: by the limit of the machine "
        "(vm.max_map_count), and at most 1,000 on network file systems.",
    )
    memory_budget: Bytes | Literal["auto"] = Field(
        default="auto",
        description="Memory for shuffle buffers and batches together; auto: two thirds of what "
        "the memory cgroup or the machine has free.",
    )
    stage: Stage = Field(
        default="auto",
        description="Whether a training first copies its rows to the disk of its node, and "
        "compares them with their digests on the way. auto: from network file systems, if there "
        "are enough epochs for it to pay and the disk has room.",
    )

    @property
    def most_mapped(self) -> int | None:
        """The number of files that are mapped at most; None for auto."""
        return None if self.mapped_files == "auto" else self.mapped_files

    @property
    def budget_bytes(self) -> int | None:
        """The memory budget; None for auto."""
        return None if self.memory_budget == "auto" else self.memory_budget


class CheckpointSettings(Settings):
    """How often the state of a training is saved: by time or by steps."""

    minutes: Annotated[float, Field(gt=0, le=10**6), FROM_TEXT] | None = Field(
        default=None, description="Minutes between two checkpoints."
    )
    steps: Count | None = Field(
        default=None, description="Optimizer steps between two checkpoints."
    )

    @model_validator(mode="after")
    def _check_one(self) -> "CheckpointSettings":
        if (self.minutes is None) == (self.steps is None):
            found = "neither" if self.minutes is None else "both"
            raise ValueError(f"either `minutes` or `steps` is needed; found {found}")
        return self


class RunningSettings(Settings):
    """How trainings are run. None of it changes a result or trains a model again."""

    slots_per_call: CountOrAuto = Field(
        default="auto",
        description="Number of micro-batches of a window that are computed in one call. This is "
        "done only if it gives the same bits as one at a time, which the first window tests; "
        "auto: as many as make the training faster.",
    )
    checkpoint: CheckpointSettings = Field(
        default=CheckpointSettings(minutes=5),
        description="How often the state of a training is saved: {minutes: M} or {steps: N}.",
    )
    fork_server: ForkServer = Field(
        default="auto",
        description="Whether trainings, evaluations, drawings and predictions are forked from a "
        "process that has imported PyTorch already, on Linux. auto: where there are at least five "
        "splits, of which those that take a minute at most; not in containers, nor where a split "
        "may train on a GPU.",
    )
