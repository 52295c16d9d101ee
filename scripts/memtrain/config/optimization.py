"""The settings of the optimizer and of the schedule of its learning rate."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from memtrain.config.step_counts import STEP_COUNT_SCHEMA, StepCount
from memtrain.config.types import FROM_TEXT, Choice, PartialChoice, Settings
from memtrain.core.wording import listed

#: Parameters that can be left out of the weight decay by one word.
NoDecay = Literal["bias", "norm", "embedding"]

#: Arguments of schedules that are functions, which are named by import path.
FUNCTION_ARGUMENTS = ("lr_lambda", "scale_fn")


def _read_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class GroupSettings(Settings):
    """Parameters that the optimizer treats by settings of their own, which stand beside `match`."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    match: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1), BeforeValidator(_read_list)
    ] = Field(
        description="Pattern of the names of the parameters, or a list of patterns, with the "
        "wildcards * ? and [abc]."
    )

    @property
    def values(self) -> dict[str, Any]:
        """The settings of the optimizer that differ for these parameters."""
        return dict(self.model_extra or {})


Groups = Annotated[
    list[GroupSettings],
    Field(
        description="Groups of parameters with settings of their own: {match: pattern, lr: ...}. A "
        "parameter belongs to the first group that matches its name."
    ),
]
NoDecayList = Annotated[
    list[NoDecay],
    BeforeValidator(_read_list),
    Field(
        description="Parameters without weight decay: bias (of any layer), norm (of normalization "
        "layers), embedding (of nn.Embedding)."
    ),
]


class OptimizerChoice(Choice):
    """An optimizer, with its arguments and groups of parameters that have settings of their own."""

    groups: Groups = Field(default_factory=list)
    no_decay: NoDecayList = Field(default_factory=list)


class PartialOptimizer(PartialChoice):
    """A split's own optimizer. Without a name, it changes settings of that of all splits."""

    groups: Groups = Field(default_factory=list)
    no_decay: NoDecayList = Field(default_factory=list)


def _allow_steps_alone(schema: dict[str, Any]) -> None:
    """Let a JSON schema accept the number of steps in place of a mapping, and epochs inside."""
    mapping = dict(schema)
    schema.clear()
    fields = mapping["properties"]
    epochs = {
        "type": "number",
        "minimum": 0,
        "maximum": 2**63 - 1,
        "description": "Number of epochs, in place of steps.",
    }
    in_epochs = {"epochs": epochs, "start_factor": fields["start_factor"]}
    schema["anyOf"] = [
        mapping,
        *STEP_COUNT_SCHEMA["anyOf"],
        mapping | {"properties": in_epochs, "required": ["epochs"]},
    ]


class Warmup(Settings):
    """Steps at the beginning in which the learning rate rises linearly to its full value."""

    model_config = Settings.model_config | {"json_schema_extra": _allow_steps_alone}

    steps: StepCount = Field(
        description="Number of steps before the rate has its full value: 100, 5% or 2 epochs."
    )
    start_factor: Annotated[float, Field(gt=0, le=1), FROM_TEXT] | None = Field(
        default=None,
        description="Factor of the rate at the first step; null: 1 / (steps + 1), so that the "
        "rate rises by the same amount at each step.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return {"steps": value}
        if "epochs" in value and "steps" not in value:
            others = {key: part for key, part in value.items() if key != "epochs"}
            return {"steps": {"epochs": value["epochs"]}, **others}
        return value


_WARMUP_DESCRIPTION = (
    "Steps in which the rate rises linearly, before the schedule begins: 100, 5%, 2 epochs, or "
    "{steps: 100, start_factor: 0.1}."
)


class ScheduleChoice(Choice):
    """A schedule of the learning rate, with its arguments."""

    name: str = Field(
        default="constant",
        min_length=1,
        description="Name of the schedule; constant keeps the rate as it is.",
    )
    warmup: Warmup | None = Field(default=None, description=_WARMUP_DESCRIPTION)

    @model_validator(mode="after")
    def _check_name(self) -> "ScheduleChoice":
        if self.arguments and "name" not in self.model_fields_set:
            raise ValueError(
                f"a schedule with arguments ({listed(self.arguments)}) needs its `name`"
            )
        return self

    @property
    def imports(self) -> list[str]:
        """Import paths of the user's own schedules and functions, those inside included."""
        return [name for name in _names({"name": self.name, **self.arguments}) if ":" in name]


class PartialSchedule(PartialChoice):
    """A split's own schedule. Without a name, it changes arguments of that of all splits."""

    warmup: Warmup | None = Field(default=None, description=_WARMUP_DESCRIPTION)


def _names(content: Any) -> Iterator[str]:
    """Yield the names of schedules and functions in the arguments of a schedule."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            if key in ("name", "schedulers", *FUNCTION_ARGUMENTS):
                yield from _names(value)
    elif isinstance(content, list):
        for part in content:
            yield from _names(part)
