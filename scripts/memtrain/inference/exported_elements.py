"""Models of sequences and of rows that vary in length, as modules that torch.export takes.

Where a model predicts every element of a row, the program gives the probability of every class of
each element, or the predicted numbers of each.
"""

from collections.abc import Sequence

import torch
from torch import nn

from memtrain.components.loss_kinds import LossKind
from memtrain.components.padded_batch import call_model
from memtrain.components.row_transform import StandardizeTarget
from memtrain.components.sequences import outputs_of_elements
from memtrain.data.padding import lengths_name, mask_name
from memtrain.data.source import FEATURES
from memtrain.inference.exported_module import ExportedModule
from memtrain.metrics.model_outputs import OutputMeaning


class ExportedSequences(ExportedModule):
    """Features of one size in, the probabilities of the classes of every element out.

    Args:
        model: the model.
        meaning: what the outputs of the model mean.
        steps: what happens to features first.
        scale: what the training does to numbers as targets; None for nothing.
        dtype: dtype of the predictions.
        elements: elements of a row that have a class.
    """

    def __init__(
        self,
        model: nn.Module,
        meaning: OutputMeaning,
        steps: Sequence[nn.Module],
        scale: StandardizeTarget | None,
        dtype: torch.dtype,
        elements: int,
    ):
        super().__init__(model, meaning, steps, scale, dtype)
        self._elements = elements

    def _predictions(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the predictions, (rows, elements, classes)."""
        assert self._meaning.kind is not None, "the outputs of sequences have a meaning"
        flat = outputs_of_elements(outputs, self._elements)
        probabilities = class_probabilities(self._meaning.kind, flat)
        return probabilities.reshape(-1, self._elements, flat.shape[1])


class ExportedRagged(ExportedModule):
    """Padded features and lengths in, predictions of rows or of their elements out.

    Args:
        model: the model.
        meaning: what the outputs of the model mean.
        steps: what happens to features first.
        scale: what the training does to numbers as targets; None for nothing.
        dtype: dtype of the predictions.
        has_elements: whether every element has a prediction.
    """

    def __init__(
        self,
        model: nn.Module,
        meaning: OutputMeaning,
        steps: Sequence[nn.Module],
        scale: StandardizeTarget | None,
        dtype: torch.dtype,
        has_elements: bool,
    ):
        super().__init__(model, meaning, steps, scale, dtype)
        self._has_elements = has_elements

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # rows that vary in length come with their lengths
        """Return predictions, (rows, values), or (rows, longest, values) with zeros as padding.

        Args:
            features: (rows, longest, ...), in the dtype of the data file; what stands behind the
                end of a row makes no difference.
            lengths: the number of elements of each row, int64 (rows,).
        """
        mask = torch.arange(features.shape[1], device=features.device) < lengths[:, None]
        prepared = _without_padding(self._prepared(features), mask)
        batch = {
            FEATURES: prepared,
            lengths_name(FEATURES): lengths,
            mask_name(FEATURES): mask,
        }
        outputs = call_model(self.model, batch)
        if not self._has_elements:
            return self._predictions(outputs).to(self._dtype)
        return _without_padding(self._of_elements(outputs).to(self._dtype), mask)

    def _of_elements(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the predictions of all places, (rows, longest, values)."""
        kind = self._meaning.kind
        if kind is not None and self._meaning.task == "sequence":
            return class_probabilities(kind, outputs)
        places = outputs.shape[:2]
        return self._numbers(outputs.reshape(places[0] * places[1], -1)).reshape(*places, -1)


def class_probabilities(kind: LossKind, outputs: torch.Tensor) -> torch.Tensor:
    """Return the probability of every class, or its score, float64 (..., classes).

    Args:
        kind: kind of the loss that the model was trained with.
        outputs: the outputs of the model, (..., classes).
    """
    scores = outputs.double()
    if kind.outputs == "scores":
        return scores
    return (scores.log_softmax(-1) if kind.outputs == "logits" else scores).exp()


def _without_padding(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return values, (rows, longest, ...), with zeros where rows have ended."""
    there = mask.reshape(*mask.shape, *[1] * (values.dim() - 2))
    return values.where(there, torch.zeros((), dtype=values.dtype, device=values.device))
