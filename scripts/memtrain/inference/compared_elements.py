"""What exported programs of sequences and of rows that vary in length are recorded and tried on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from memtrain.components.padded_batch import call_model
from memtrain.components.sequences import outputs_of_elements
from memtrain.data.batch_transform import transform_padded_batch
from memtrain.data.padding import mask_name
from memtrain.data.source import FEATURES
from memtrain.inference.batch_predictor import inputs_of_model
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.metrics.model_outputs import OutputMeaning, class_probabilities, predicted_numbers

#: Features as a program takes them: of rows of one size, or of rows that vary in length.
Features = np.ndarray | RaggedFeatures

#: Rows with which the program is recorded, and places of their elements where rows vary in length;
#: other numbers than sizes of models usually are.
_RECORDED_ROWS, _RECORDED_PLACES = 7, 19

#: Most bytes of predictions that a program is tried on at once.
_MOST_BYTES = 256 << 20


def program_inputs(features: Features) -> tuple[torch.Tensor, ...]:
    """Return what a program is called with: features, and lengths where rows vary in length."""
    if isinstance(features, RaggedFeatures):
        arrays = features.decoded()
        lengths = torch.from_numpy(features.lengths.astype(np.int64))
        return torch.from_numpy(arrays[FEATURES]), lengths
    return (torch.from_numpy(features.copy()),)


def recorded_inputs(features: Features) -> tuple[torch.Tensor, ...]:
    """Return inputs to record a program with; their values make no difference."""
    if isinstance(features, RaggedFeatures):
        lengths = np.full(_RECORDED_ROWS, _RECORDED_PLACES)
        shape = (int(lengths.sum()), *features.values.shape[1:])
        return program_inputs(RaggedFeatures(np.zeros(shape, features.values.dtype), lengths))
    shape = (_RECORDED_ROWS, *features.shape[1:])
    return (torch.from_numpy(np.zeros(shape, features.dtype)),)


def shortened(features: Features, longest: int | None) -> Features:
    """Return the rows that have at most so many elements; all rows, where none have."""
    if longest is None or not isinstance(features, RaggedFeatures):
        return features
    kept = [one for one in map(features.row, range(len(features))) if len(one.values) <= longest]
    return RaggedFeatures.joined(kept) if kept else features


def tried_together(features: Features, count_values: Callable[[Features], int]) -> Features:
    """Return the first rows, as many as a program is tried on at once.

    Args:
        features: the features of all rows.
        count_values: returns how many values are predicted for some rows.
    """
    if isinstance(features, RaggedFeatures):
        longest = int(features.lengths.argmax())
        values = count_values(features[longest : longest + 1])
    else:
        values = count_values(features[:1])
    return features[: max(2, _MOST_BYTES // (8 * max(1, values)))]


def tried_batches(features: Features) -> list[Features]:
    """Return the batches that a program is tried on: one row, two, all, and a single element."""
    batches: list[Features] = [features[:1], features[:2], features]
    if isinstance(features, RaggedFeatures) and len(features.values):
        batches.append(RaggedFeatures(features.values[:1], np.ones(1, np.int64)))
    return batches


def described_input(features: Features, longest: int | None) -> dict[str, Any]:
    """Return what a description says of the inputs of a program.

    Args:
        features: features of some rows.
        longest: most elements of a row that the program takes; None for any number.
    """
    first, *others = program_inputs(features[:1])
    sizes = ["rows", *(["longest"] if others else []), *first.shape[1 + len(others) :]]
    dtype = str(first.dtype).removeprefix("torch.")
    found: dict[str, Any] = {"name": FEATURES, "shape": sizes, "dtype": dtype}
    if others:
        found["longest"] = longest
        found["lengths"] = {"name": "lengths", "shape": ["rows"], "dtype": "int64"}
    return found


def described_output(model: LoadedModel) -> list[str | int]:
    """Return what a description says of the shape of the predictions of a program."""
    training = model.recipe.training
    if training.has_ragged_target:
        return ["rows", "longest", "values"]
    return ["rows", training.targets, "values"] if training.has_sequences else ["rows", "values"]


def outputs_of_ragged(
    model: LoadedModel, features: RaggedFeatures
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs of a model for rows that vary in length, and their mask."""
    batch = transform_padded_batch(model.transform, features.decoded(), [FEATURES], doubles=True)
    assert isinstance(batch, dict), "features have a name"
    taken = inputs_of_model(batch)
    return call_model(model.model, taken), taken[mask_name(FEATURES)]


def expected_of_elements(
    model: LoadedModel, meaning: OutputMeaning, outputs: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the predictions of all elements, float64 (rows, elements, values).

    Args:
        model: the model.
        meaning: what its outputs mean.
        outputs: its outputs.
        mask: the elements that are there, bool (rows, longest); None: all of them.
    """
    elements = model.recipe.training.targets if mask is None else mask.shape[1]
    kind = meaning.kind
    if kind is not None and meaning.task == "sequence":
        found = class_probabilities(kind, outputs_of_elements(outputs, elements))
    else:
        found = predicted_numbers(kind, outputs.reshape(len(outputs) * elements, -1))
        scale = model.parts.target
        found = found if scale is None else scale.undone(found)
    found = found.reshape(len(outputs), elements, -1)
    return found if mask is None else found * mask[:, :, None]
