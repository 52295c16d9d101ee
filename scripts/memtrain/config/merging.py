"""Puts the settings of one training into those of all."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from memtrain.config.training import ShuffleSettings, TrainingOverrides
from memtrain.config.types import PartialChoice, Settings


def overridden(settings: Mapping[str, Any], own: TrainingOverrides) -> dict[str, Any]:
    """Return training settings with those of a split in their place.

    Args:
        settings: the settings of all splits, as ``model_dump`` gives them.
        own: the settings of the split; a choice without a name changes arguments alone.
    """
    merged = dict(settings)
    for name in own.model_fields_set:
        value = getattr(own, name)
        if isinstance(value, PartialChoice):
            value = value.merged_with(settings[name])
        elif isinstance(value, ShuffleSettings):
            value = (settings[name] or {}) | value.model_dump(exclude_unset=True)
        elif isinstance(value, Settings):
            value = value.model_dump()
        merged[name] = value
    return merged


def with_swept_settings(settings: dict[str, Any], swept: Mapping[str, Any]) -> dict[str, Any]:
    """Return training settings with those of a sweep in their place, which need not be right.

    Args:
        settings: the settings, as nested mappings.
        swept: other values of some settings, by full keys like "training.optimizer.lr". A value
            right below `training` is read as a split reads it.
    """
    for key, value in swept.items():
        below = key.removeprefix("training.")
        if "." in below:
            settings = _with_setting(settings, below, value)
            continue
        try:
            own = TrainingOverrides.model_validate({below: value})
        except ValidationError:  # It is told where the settings are read as a whole.
            settings = {**settings, below: value}
        else:
            settings = overridden(settings, own)
    return settings


def _with_setting(settings: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    below = settings.get(first)
    inside = below if isinstance(below, Mapping) else {}
    return {**settings, first: _with_setting(inside, rest, value) if rest else value}
