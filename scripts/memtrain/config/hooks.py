"""The settings of hooks: functions of the user's own that look at a training while it runs."""

from pydantic import Field, model_validator

from memtrain.config.types import Choice, Count
from memtrain.core.wording import shown


class HookSettings(Choice):
    """A function that is called with a view of the training, and its arguments."""

    name: str = Field(
        min_length=1,
        description="Import path of a function, which is called with a view of the training and "
        "these arguments; or of a class, whose object is made with the arguments and called with "
        "the view: package.module:name.",
    )
    every: Count = Field(description="Optimizer steps between two calls.")

    @model_validator(mode="after")
    def _check_name(self) -> "HookSettings":
        if not self.imports:
            raise ValueError(
                f"name: found {shown(self.name)}; a hook is named by its import path, "
                "package.module:function"
            )
        return self
