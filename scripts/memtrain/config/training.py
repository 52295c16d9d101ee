"""How a model is trained: the settings and their allowed values.

They are part of the recipe: when one of them changes, the model is trained again.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import BeforeValidator, Field, create_model, model_validator

from memtrain.config.averaging import AveragingSettings
from memtrain.config.dataset import ColumnName
from memtrain.config.encoding import Encode, Impute
from memtrain.config.hooks import HookSettings
from memtrain.config.initial import InitialSettings, Patterns
from memtrain.config.optimization import (
    OptimizerChoice,
    PartialOptimizer,
    PartialSchedule,
    ScheduleChoice,
)
from memtrain.config.types import (
    FROM_TEXT,
    Bytes,
    Choice,
    FilePath,
    PartialChoice,
    Seed,
    Settings,
)
from memtrain.config.validation import (
    EarlyStoppingSettings,
    ValidateEverySettings,
    ValidationSettings,
)
from memtrain.core.byte_sizes import format_bytes


class ShuffleSettings(Settings):
    """How the rows of an epoch are shuffled: blocks of the file first, then rows of many blocks."""

    block_bytes: Bytes = Field(
        default=256 << 10,
        description="Size of a block: consecutive rows that are read in one go. Larger blocks are "
        "faster on a slow disk.",
    )
    buffer_bytes: Bytes = Field(
        default=256 << 20,
        description="Size of the shuffle buffer: the blocks whose rows are mixed in memory. A "
        "training holds two of them. The more blocks a buffer holds, the better the shuffle; rows "
        "that fit into one buffer are permuted as a whole.",
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> "ShuffleSettings":
        if self.buffer_bytes < self.block_bytes:
            raise ValueError(
                f"buffer_bytes is {format_bytes(self.buffer_bytes)}, less than one block of "
                f"{format_bytes(self.block_bytes)} (block_bytes); a buffer should hold many blocks"
            )
        return self


def _read_shuffle(value: Any) -> Any:
    return None if value == "none" else value


Shuffle = Annotated[
    ShuffleSettings | None,
    BeforeValidator(_read_shuffle, json_schema_input_type=ShuffleSettings | Literal["none"] | None),
]


class TrainingSettings(Settings):
    """How a model is trained. All of it is part of the recipe: a change trains the model again."""

    model: Choice = Field(
        default=Choice(name="mlp"),
        description="The model: linear, mlp (with hidden: [sizes]) or package.module:Class, with "
        "its keyword arguments. in_features, out_features and category_sizes are filled in if the "
        "class takes them.",
    )
    transform: Choice = Field(
        default=Choice(name="none"),
        description="What is done to a row before the model sees it: none, scale (with factor and "
        "offset) or standardize, which change the features, or package.module:function, which is "
        "called with the row and its arguments and returns a row.",
    )
    impute: Impute | dict[ColumnName, Impute] | None = Field(
        default=None,
        description="What takes the place of a missing feature, before the transform: mean, median "
        "or most_frequent (of the training rows), category (a word of its own, for categories), or "
        "a number; {with: median, indicator: true} adds a feature that says where one was missing. "
        "By column, or one for all. null: rows with missing numbers are refused.",
    )
    encode: dict[ColumnName, Encode] = Field(
        default={},
        description="What the model sees of a category, by column: one_hot (unless given), codes, "
        "or one of them with limits: {name: one_hot, rare: 10, most: 50}. And of a date or time: a "
        "list of elapsed (seconds), month, day_of_year, weekday, hour and minute; all but the "
        "first are a sine and a cosine.",
    )
    target: Literal["none", "standardize"] = Field(
        default="none",
        description="What is done to a target of numbers before the model learns it. standardize: "
        "it gets mean 0 and standard deviation 1 over the training rows; predictions and metrics "
        "are in its own unit all the same.",
    )
    loss: Choice = Field(
        default=Choice(name="MSELoss"),
        description='The loss: a class of torch.nn that takes reduction="sum", with its arguments; '
        "or package.module:function, which is called with (model, batch) and returns the sum of "
        "the losses of the rows.",
    )
    optimizer: OptimizerChoice = Field(
        default=OptimizerChoice.model_validate({"name": "Adam", "lr": 0.001}),
        description="The optimizer: a class of torch.optim or package.module:Class, with its "
        "arguments; no_decay: [bias, norm] leaves these parameters out of the weight decay, and "
        "groups: [{match: pattern, lr: ...}] gives parameters settings of their own.",
    )
    scheduler: ScheduleChoice | None = Field(
        default=None,
        description="The schedule of the learning rate, which advances once an optimizer step: a "
        "class of torch.optim.lr_scheduler, or package.module:Class or function (of the number of "
        "the step), with its arguments; warmup: 5% lets the rate rise before it; null for none. "
        "Numbers of steps are 100, 5%, 2 epochs or `steps` for all; T_max, total_steps and "
        "total_iters are all steps if they are left out.",
    )
    batch_size: Annotated[int, Field(ge=1, le=10**9), FROM_TEXT] = Field(
        default=16, description="Rows of a micro-batch."
    )
    accumulation_steps: Annotated[int, Field(ge=1, le=10**6), FROM_TEXT] = Field(
        default=8,
        description="Micro-batches of an accumulation window, after which the optimizer takes a "
        "step.",
    )
    clip_norm: Annotated[float, Field(ge=1e-30, le=1e30), FROM_TEXT] | None = Field(
        default=None,
        description="Largest Euclidean norm of the gradient of a window; a larger gradient is "
        "scaled down to it. null for no clipping.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Precision that the model computes in (autocast); parameters, sums and the "
        "optimizer stay in float32. With float16 the loss is scaled, so that small gradients do "
        "not vanish.",
    )
    compile: bool = Field(
        default=False,
        description="Whether torch.compile compiles the model. The sums of a compiled model differ "
        "in their last bits.",
    )
    reduction: Literal["reproducible", "fast"] = Field(
        default="reproducible",
        description="How gradients are added up. reproducible: in a fixed order, with the same "
        "bytes for any number of processes; fast: as PyTorch's DistributedDataParallel does.",
    )
    sharding: Literal["none", "fsdp"] = Field(
        default="none",
        description="How the model is distributed. none: every process holds all of it; fsdp: "
        "parameters, gradients and optimizer state are divided among the "
        "processes, for models that one device cannot hold; it needs `reduction: fast`.",
    )
    normalize: Literal["rows", "elements"] = Field(
        default="rows",
        description="What the summed loss of an accumulation window is divided by. rows: the rows "
        "of the window; elements: the elements of their targets, such as tokens, which is for "
        "losses of every element, and for rows that vary in length.",
    )
    last_window: Literal["step", "drop"] = Field(
        default="step",
        description="What happens to an incomplete accumulation window at the end of an epoch. "
        "step: the optimizer takes a step with it; drop: its rows are left out.",
    )
    shuffle: Shuffle = Field(
        default=ShuffleSettings(),
        description="How rows are shuffled: {block_bytes, buffer_bytes}, or none to keep them in "
        "the order of the file.",
    )
    epochs: Annotated[int, Field(ge=1, le=10**9), FROM_TEXT] = Field(
        default=3, description="Number of passes over the training rows."
    )
    validation: ValidationSettings | None = Field(
        default=None,
        description="A share of the training rows on which the model is validated while it trains, "
        "and not trained: {share: 10%}; for splits that name no rows under `validate`, and for "
        "folds. null for no validation.",
    )
    validate_every: ValidateEverySettings = Field(
        default=ValidateEverySettings(epochs=1),
        description="How often the model is validated, {epochs: N} or {steps: N}, and after the "
        "last step.",
    )
    early_stopping: EarlyStoppingSettings | None = Field(
        default=None,
        description="When the training ends before its last step, by its validations: {patience: "
        "3, min_delta: 0, metric: loss}; null for never.",
    )
    averaging: AveragingSettings | None = Field(
        default=None,
        description="An average of the weights over the steps, which is validated and kept in "
        "their place: {ema: 0.999} or {swa: {start: 75%}}; it needs `keep: averaged` or `best`.",
    )
    keep: Literal["last", "best", "averaged"] = Field(
        default="last",
        description="Which weights are kept: those after the last step; those of the best "
        "validation, by the metric of early_stopping (without it, by the loss); or their average.",
    )
    initial: InitialSettings | None = Field(
        default=None,
        description="The weights that the training starts from: {split: base}, those of another "
        "split's model, or {path: weights.safetensors}; null for those that the seed draws.",
    )
    freeze: Patterns = Field(
        default=[],
        description="Names of parameters, with * and ?, that are not trained and stay as they are; "
        "encoder.* also keeps the running statistics of BatchNorm layers in encoder.",
    )
    reads: list[FilePath] = Field(
        default=[],
        description="Files that the model, the transform or the loss reads by code of your own. "
        "Where one of them changes, the model is trained again.",
    )
    hooks: list[HookSettings] = Field(
        default=[],
        description="Functions of your own that look at the training while it runs, each as "
        "{name: package.module:function, every: STEPS}, with its arguments. They cannot change it.",
    )
    seed: Seed = Field(
        default=0, description="Seed of the initial weights, of the row order and of dropout."
    )
    threads: Annotated[int, Field(ge=1, le=1024), FROM_TEXT] = Field(
        default=1,
        description="Number of threads of a training. It is part of the recipe, since the last "
        "bits of sums depend on it.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Device that the model is trained on; auto: a GPU if there is one.",
    )

    @property
    def imports(self) -> list[str]:
        """Import paths of the user's own objects that the settings name."""
        return [*self.imports_of_parts, *(path for hook in self.hooks for path in hook.imports)]

    @property
    def imports_of_parts(self) -> list[str]:
        """Import paths of those among them that compute: all but the hooks."""
        choices = (self.model, self.transform, self.loss, self.optimizer, self.scheduler)
        return [path for choice in choices if choice for path in choice.imports]

    @property
    def files(self) -> list[str]:
        """Files besides the rows that a training reads: initial weights and declared files."""
        initial = [self.initial.path] if self.initial and self.initial.path else []
        return list(dict.fromkeys([*initial, *self.reads]))

    @model_validator(mode="after")
    def _check_averaging(self) -> "TrainingSettings":
        if (self.keep == "averaged") and self.averaging is None:
            raise ValueError(
                "keep: averaged needs an average: set `averaging: {ema: 0.999}` with it, or "
                "`averaging: {swa: {start: 75%}}`"
            )
        if self.averaging is not None and self.keep == "last":
            raise ValueError(
                "averaging: the average would be lost, since `keep: last` keeps the weights after "
                "the last step; set `keep: averaged` with it, or `keep: best`"
            )
        if self.averaging is not None and self.sharding == "fsdp":
            raise ValueError(
                "averaging: with sharding: fsdp, no process has the weights to average; use "
                "`sharding: none`"
            )
        return self

    @property
    def decisive_metric(self) -> tuple[str, float]:
        """The metric that decides, and 1 where less of it is better, or -1 where more is."""
        stopping = self.early_stopping
        return (stopping.metric, stopping.sign) if stopping else ("loss", 1.0)

    @model_validator(mode="after")
    def _check_sharding(self) -> "TrainingSettings":
        if self.sharding == "fsdp" and self.reduction != "fast":
            raise ValueError(
                "sharding: fsdp divides gradients as soon as they are computed, so they cannot be "
                "added in a fixed order; set `reduction: fast` with it, or `sharding: none`"
            )
        if self.sharding == "fsdp" and self.hooks:
            raise ValueError(
                "hooks: with sharding: fsdp, no process has the weights that a hook would see; use "
                "`sharding: none`, or no hooks"
            )
        if self.sharding == "fsdp" and self.precision == "float16":
            raise ValueError(
                "precision: float16 needs a scaled loss, which sharding: fsdp does not support; "
                "use bfloat16"
            )
        return self


#: What a split may write in the place of a choice of all splits.
_PARTIAL_CHOICES = {
    Choice: PartialChoice,
    OptimizerChoice: PartialOptimizer,
    ScheduleChoice: PartialSchedule,
}


def _override_type(hint: Any) -> Any:
    for whole, partial in _PARTIAL_CHOICES.items():
        if hint in (whole, whole | None):
            return partial | None
    return hint


def _override_fields() -> dict[str, Any]:
    """Return the fields of ``TrainingSettings``, with choices that need no name."""
    hints = get_type_hints(TrainingSettings, include_extras=True)
    return {
        name: (
            _override_type(hints[name]),
            Field(default=field.default, description=field.description),
        )
        for name, field in TrainingSettings.model_fields.items()
    }


if TYPE_CHECKING:

    class TrainingOverrides(Settings):
        """Type checkers cannot know the fields, and no code names one."""

else:
    TrainingOverrides = create_model(
        "TrainingOverrides",
        __base__=Settings,
        __doc__="Settings of `training` that differ for one split.",
        **_override_fields(),
    )
