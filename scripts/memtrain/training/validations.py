"""The validations of a training: when they are due, and what they have found so far."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from memtrain.components.build import TrainingParts
from memtrain.data.files_layout import FilesLayout
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.training.run_context import RunContext
from memtrain.training.validation_history import (
    ValidationRecord,
    validations_from_array,
    validations_to_array,
)


class Validations:
    """The validations of a training; none if its recipe has no validation rows.

    Args:
        recipe: training part of the recipe.
        parts: the parts of the training.
        data: path of the record file that holds the rows.
        context: what the training runs in.
        is_sharded: whether the model is sharded among the processes.

    Attributes:
        records: the validations so far.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        parts: TrainingParts,
        data: str | FilesLayout,
        context: RunContext,
        *,
        is_sharded: bool,
    ):
        self._sizes = recipe.sizes
        self._validator = None
        self.records: list[ValidationRecord] = []
        if recipe.validation is not None:
            # Imported here, since the metrics take a second, which other trainings save.
            from memtrain.training.validator import Validator

            self._validator = Validator(
                recipe, recipe.validation, parts, data, context, is_sharded=is_sharded
            )

    @property
    def last(self) -> ValidationRecord | None:
        """The last validation; None before the first one."""
        return self.records[-1] if self.records else None

    def is_due(self, step: int) -> bool:
        """Return whether the model has to be validated after so many steps, and has not been."""
        is_done = self.last is not None and self.last.step >= step
        return step > 0 and self._sizes.is_validated_after(step) and not is_done

    def validate(self, step: int, should_stop: Callable[[], bool]) -> bool:
        """Validate the model.

        Args:
            step: optimizer steps so far.
            should_stop: tells whether this process was asked to stop.

        Returns:
            False if any process was asked to stop before the end; the validation is then still due.
        """
        assert self._validator is not None, "no validation is due without validation rows"
        record = self._validator.validate(
            step=step,
            epoch=(step - 1) // self._sizes.steps_per_epoch + 1,
            should_stop=should_stop,
        )
        if record is not None:
            self.records.append(record)
        return record is not None

    def state_dict(self) -> dict[str, Any]:
        """Return what was found so far."""
        if self._validator is None:
            return {}
        numbers = validations_to_array(self.records, self._validator.metrics)
        return {"validations": torch.from_numpy(numbers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if self._validator is not None:
            numbers = state["validations"].cpu().numpy()
            self.records = validations_from_array(numbers, self._validator.metrics)
