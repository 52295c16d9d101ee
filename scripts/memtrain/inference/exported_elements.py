"""Models of sequences and of rows that vary in length, as modules that torch.export takes.

Where a model predicts every element of a row, the program gives the probability of every class of
each element, or the predicted numbers of each.
"""

import torch

from memtrain.components.padded_batch import call_model
from memtrain.components.sequences import outputs_of_elements
from memtrain.data.padding import lengths_name, mask_name
from memtrain.data.source import FEATURES
from memtrain.inference.exported_module import ExportedModule, ModelToExport
from memtrain.metrics.model_outputs import class_probabilities


class ExportedSequences(ExportedModule):
    """Features of one size in, the probabilities of the classes of every element out.

    Args:
        parts: the model, and what happens around it.
        elements: elements of a row that have a class.
    """

    def __init__(self, parts: ModelToExport, *, elements: int):
        super().__init__(parts)
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
        parts: the model, and what happens around it.
        has_elements: whether every element has a prediction.
    """

    def __init__(self, parts: ModelToExport, *, has_elements: bool):
        super().__init__(parts)
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


def _without_padding(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return values, (rows, longest, ...), with zeros where rows have ended."""
    there = mask.reshape(*mask.shape, *[1] * (values.dim() - 2))
    return values.where(there, torch.zeros((), dtype=values.dtype, device=values.device))
