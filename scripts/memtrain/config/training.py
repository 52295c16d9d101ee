"""How a model is trained, and how a training is run: the settings and what they may hold.

What stands in ``TrainingSettings`` is part of the recipe, and a change of it trains again. What
stands in ``RunningSettings`` and ``LoadingSettings`` changes no result.
"""

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, Field, WithJsonSchema, create_model, model_validator

from memtrain.config.types import (
    Bytes,
    Choice,
    Count,
    PartialChoice,
    Seed,
    Settings,
    read_number,
)
from memtrain.core.byte_sizes import format_bytes


class ShuffleSettings(Settings):
    """How the rows of an epoch are mixed: blocks of the file, and then the rows of many blocks."""

    block_bytes: Bytes = Field(
        256 << 10,
        description="Consecutive rows that are read in one go. Larger is faster on a slow disk.",
    )
    buffer_bytes: Bytes = Field(
        256 << 20,
        description="Rows that are mixed in memory at a time; training holds two such buffers. "
        "More blocks in a buffer make a better shuffle; rows that fit into one are permuted as a "
        "whole.",
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> "ShuffleSettings":
        if self.buffer_bytes < self.block_bytes:
            raise ValueError(
                f"buffer_bytes is {format_bytes(self.buffer_bytes)}, less than the one block of "
                f"{format_bytes(self.block_bytes)} (block_bytes); many blocks should fit"
            )
        return self


def _read_shuffle(value: Any) -> Any:
    return None if value == "none" else value


Shuffle = Annotated[
    ShuffleSettings | None,
    BeforeValidator(_read_shuffle, json_schema_input_type=ShuffleSettings | Literal["none"] | None),
]


class TrainingSettings(Settings):
    """How a model is trained. All of it is part of the recipe: a change trains again."""

    model: Choice = Field(
        Choice(name="mlp"),
        description="linear, mlp (with hidden: [sizes]) or package.module:Class, with its keyword "
        "arguments; in_features and out_features are filled in where it takes them.",
    )
    transform: Choice = Field(
        Choice(name="none"),
        description="What is done to a row on its way: none, scale (factor, offset), standardize, "
        "or package.module:function.",
    )
    loss: Choice = Field(
        Choice(name="MSELoss"),
        description='A torch.nn loss that has reduction="sum", with its arguments; or '
        "package.module:function, called with (model, batch), that returns the sum of the losses "
        "of the rows.",
    )
    optimizer: Choice = Field(
        Choice(name="Adam", lr=0.001), description="A torch.optim class, with its arguments."
    )
    scheduler: Choice | None = Field(
        None,
        description="A torch.optim.lr_scheduler class, with its arguments, stepped once an "
        "optimizer step; null for none.",
    )
    batch_size: Count = Field(16, description="Rows of one micro-batch.")
    accumulation_steps: Count = Field(8, description="Micro-batches of one optimizer step.")
    clip_norm: Annotated[float, BeforeValidator(read_number), Field(gt=0)] | None = Field(
        None,
        description="The Euclidean norm that the gradient of a window is scaled down to where it "
        "is larger; null for no clipping.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="What the model computes in (autocast; parameters, sums and the optimizer stay "
        "in float32). float16 scales the loss, so that small gradients do not vanish.",
    )
    compile: bool = Field(
        False, description="Compiles the model by torch.compile. Compiled sums have other bits."
    )
    reduction: Literal["reproducible", "fast"] = Field(
        "reproducible",
        description="How gradients are added up. reproducible: in one order, whatever the number "
        "of processes, with the same bytes; fast: as PyTorch's DistributedDataParallel does.",
    )
    sharding: Literal["none", "fsdp"] = Field(
        "none",
        description="fsdp cuts parameters, gradients and optimizer state among the processes, for "
        "models that one device cannot hold; it needs `reduction: fast`.",
    )
    last_window: Literal["step", "drop"] = Field(
        "step",
        description="What is done with the short accumulation window at the end of an epoch.",
    )
    shuffle: Shuffle = Field(
        ShuffleSettings(), description="How rows are mixed; none keeps them in order."
    )
    epochs: Count = Field(3, description="Passes over the training rows.")
    seed: Seed = Field(
        0, description="Seed of the initial weights, of the row order and of dropout."
    )
    threads: Count = Field(
        1, description="Threads of a training. Sums differ in their last bits between numbers."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where there is one."
    )

    @model_validator(mode="after")
    def _check_sharding(self) -> "TrainingSettings":
        if self.sharding == "fsdp" and self.reduction != "fast":
            raise ValueError(
                "sharding: fsdp cuts gradients where they are made, so that they cannot be added "
                "in one order; set `reduction: fast` with it, or `sharding: none`"
            )
        if self.sharding == "fsdp" and self.precision == "float16":
            raise ValueError("precision: float16 is not scaled across shards; use bfloat16")
        return self


def _as_override(hint: Any) -> Any:
    return PartialChoice | None if hint in (Choice, Choice | None) else hint


# A split may override any setting of `training`: the same keys, none of them required.
TrainingOverrides = create_model(
    "TrainingOverrides",
    __base__=Settings,
    __doc__="Settings of `training` that differ for one split.",
    **{
        name: (
            _as_override(get_type_hints(TrainingSettings, include_extras=True)[name]),
            Field(field.default, description=field.description),
        )
        for name, field in TrainingSettings.model_fields.items()
    },
)


class LoadingSettings(Settings):
    """How rows are moved from the disk. None of it changes a result, or trains again."""

    reader: Literal["auto", "mmap", "pread", "direct"] = Field(
        "auto",
        description="mmap: rows are used where they are mapped; pread: blocks are read; direct: "
        "read past the page cache; auto: pread on network file systems, else mmap.",
    )
    memory_budget: Bytes | Literal["auto"] = Field(
        "auto",
        description="What shuffle buffers and batches may take together; auto: two thirds of "
        "what the memory cgroup or the machine leaves free.",
    )
    stage: Literal["never", "auto", "always"] = Field(
        "auto",
        description="Whether the rows of a training are copied to the disk of the node first, and "
        "their digests compared on the way; auto: from network file systems, where several epochs "
        "make it pay and the disk has the room.",
    )

    @property
    def budget(self) -> int | None:
        """The memory budget in bytes; None for auto."""
        return None if self.memory_budget == "auto" else self.memory_budget


class CheckpointSettings(Settings):
    """How often the state of a training is saved: by the clock, or by the step."""

    minutes: Annotated[float, BeforeValidator(read_number), Field(gt=0)] | None = Field(
        None, description="Minutes between two checkpoints."
    )
    steps: Count | None = Field(None, description="Optimizer steps between two checkpoints.")

    @model_validator(mode="after")
    def _check_one(self) -> "CheckpointSettings":
        if (self.minutes is None) == (self.steps is None):
            found = "neither" if self.minutes is None else "both"
            raise ValueError(f"either `minutes` or `steps` is needed; found {found}")
        return self


def _check_slots_per_call(value: Any) -> int | str:
    value = read_number(value)
    if value == "auto" or (isinstance(value, int) and value >= 1):
        return value
    raise ValueError("a number of slots (1 or more) or auto is needed")


class RunningSettings(Settings):
    """How trainings are run. None of it changes a result, or trains again."""

    slots_per_call: Annotated[
        int | str,
        BeforeValidator(_check_slots_per_call),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
    ] = Field(
        "auto",
        description="Micro-batches of a window that are computed in one call, where that gives "
        "the same bits as one by one (looked at in the first window); auto: as many as pay.",
    )
    checkpoint: CheckpointSettings = Field(
        CheckpointSettings(minutes=5),
        description="How often training state is saved: {minutes: M} or {steps: N}.",
    )
