"""Writes a trained model as a program of ``torch.export``, with all that is needed to use it.

The program is compared with the model before its files get their names.
"""

import hashlib
import io
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtrain.components.loss_kinds import task_of
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.made_from import versions_of_packages
from memtrain.data.row_decoding import to_tensors
from memtrain.data.source import FEATURES
from memtrain.inference.exported_module import ExportedModule, TransformSteps, transform_steps
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.process_settings import computing_as_evaluated
from memtrain.inference.sample_features import SampleFeatures
from memtrain.metrics.model_outputs import OutputMeaning
from memtrain.metrics.scorer import in_unit_of_target
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_bytes

PROGRAM_FILE = "model.pt2"
DESCRIPTION_FILE = "export.json"
CARD_FILE = "README.md"

#: The largest difference between a model and its export, as a share of the largest prediction.
TOLERANCE = 1e-5

#: Rows with which the program is recorded; another number than any other size of the features.
_RECORDED_ROWS = 7

#: What the predictions are, by the task.
_MEANINGS = {
    "regression": "the predicted numbers, in the unit of the target",
    "binary": "the probability of yes",
    "classification": "the probability of every class, in the order of `classes`",
    "other": "the outputs of the model",
}

#: How the codes of words in `encoding` come about; see ``data.tables.word_codes``.
_CODES_OF_WORDS = (
    "the 8 bytes of the BLAKE2b digest (digest_size 8) of the UTF-8 text, as a little-endian "
    "integer with a sign; a missing word is 0, and a digest of 0 is 1"
)


@dataclass(frozen=True)
class Comparison:
    """How far an exported program is from its model.

    Attributes:
        rows: what rows they were compared on.
        largest_difference: the largest distance between two predictions.
        largest_prediction: the largest prediction, without its sign.
    """

    rows: str
    largest_difference: float
    largest_prediction: float

    @property
    def share(self) -> float:
        """The largest difference as a share of the largest prediction."""
        return self.largest_difference / (self.largest_prediction or 1.0)


@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        program: the bytes of the ``.pt2`` file.
        description: the content of ``export.json``, without the digest of the program.
        comparison: how far the program is from the model.
    """

    program: bytes
    description: Mapping[str, Any]
    comparison: Comparison


def export_model(model: LoadedModel, features: SampleFeatures, digest: str) -> Export:
    """Return a model as a program, compared with it.

    Args:
        model: the model, on the CPU.
        features: features to compare them on.
        digest: digest of the file of the model.

    Raises:
        UserError: if the model is of a kind that cannot be exported, or its export differs from it.
    """
    _refuse(model)
    steps = transform_steps(model.parts.transform)
    given = _given(features.values, steps)
    meaning = _meaning(model)
    dtype = torch.float64 if _has_doubles(model) else torch.float32
    module = ExportedModule(model.parts, meaning, steps.inside, dtype).eval().requires_grad_(False)
    with computing_as_evaluated(model.recipe.training.settings), torch.no_grad():
        program = _recorded(model, module, torch.from_numpy(given[:_RECORDED_ROWS].copy()))
        loaded = _loaded(program)
        comparison = _compared(model, meaning, steps, loaded, given, features.of)
    if not comparison.share <= TOLERANCE:
        raise UserError(
            f"{model.recipe.split}: the predictions of the exported program are up to "
            f"{comparison.largest_difference:g} from those of the model, which are up to "
            f"{comparison.largest_prediction:g}. More than {TOLERANCE:g} of that is no rounding: "
            "nothing was written. A model that branches on the values of its features cannot be "
            "exported."
        )
    description = _description(model, steps, given, dtype, digest, comparison)
    return Export(program, description, comparison)


def write_export(export: Export, card: str, folder: str | os.PathLike) -> None:
    """Write the files of an export; of an earlier one in the folder, they take the place.

    Args:
        export: the export.
        card: text of the model card.
        folder: the folder, which is created.

    Raises:
        UserError: if the folder holds anything else than an earlier export.
    """
    target = Path(folder)
    _refuse_other_files(target)
    of_program = {"file": PROGRAM_FILE, "digest": _digest(export.program)}
    description = canonical_json.text({**export.description, "program": of_program})
    write_bytes(target / PROGRAM_FILE, export.program)
    write_bytes(target / CARD_FILE, card.encode())
    # It comes last, since it has the digest of the program that it belongs to.
    write_bytes(target / DESCRIPTION_FILE, description.encode())


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _refuse_other_files(folder: Path) -> None:
    """Raise a ``UserError`` for a folder that holds anything else than an earlier export."""
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = {name for name in found if not name.endswith(".part")}
    others = found - {PROGRAM_FILE, DESCRIPTION_FILE, CARD_FILE}
    if others or found == {CARD_FILE}:
        raise UserError(
            f"{folder}: this folder holds other files ({listed(sorted(others or found), 3)}). Name "
            "a new one."
        )


def _outside(training: TrainingRecipe, steps: TransformSteps) -> list[str]:
    """Return what a program does to encoded features before it gives them, by the settings."""
    if not steps.outside:
        return []
    return [*(["impute"] if training.fills else []), training.settings.transform.name]


def _refuse(model: LoadedModel) -> None:
    """Raise a ``UserError`` for a model whose rows are no features of one size."""
    training = model.recipe.training
    what = (
        f"takes rows that vary in length ({listed(training.task.ragged)})"
        if training.task.ragged
        else "predicts every element of a sequence"
        if training.has_sequences
        else None
    )
    if what:
        raise UserError(
            f"{model.recipe.split}: this model {what}, for which there is no export. "
            "`memtrain.load_model(FOLDER).model` is the module, for a torch.export of your own."
        )


def _given(features: np.ndarray, steps: TransformSteps) -> np.ndarray:
    """Return the features that the program takes: behind what stays outside of it."""
    row = {FEATURES: features.copy()}
    for step in steps.outside:
        row = step(row)
    return np.asarray(row[FEATURES])


def _has_doubles(model: LoadedModel) -> bool:
    """Return whether an evaluation writes predictions in double precision."""
    training = model.recipe.training
    is_number = _meaning(model).task in ("regression", "other")
    return is_number and training.dtype_of("target") == np.float64


def _meaning(model: LoadedModel) -> OutputMeaning:
    loss = model.parts.loss
    task = task_of(loss.kind, model.recipe.training, True)
    return OutputMeaning(task, loss.kind, loss.name)


def _recorded(model: LoadedModel, module: ExportedModule, example: torch.Tensor) -> bytes:
    """Return a module as a program for any number of rows."""
    rows = torch.export.Dim("rows", min=1, max=2**31 - 1)
    buffer = io.BytesIO()
    level = logging.getLogger("torch").level
    try:
        logging.getLogger("torch").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                module, (example,), dynamic_shapes={"features": {0: rows}}, strict=False
            )
            program.example_inputs = None
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # It has paths of this machine.
            torch.export.save(program, buffer)
    except Exception as error:  # Whatever a model of the user's own does in torch.export.
        reason = next(filter(None, str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"{model.recipe.split}: torch.export does not take the model "
            f"{model.recipe.training.settings.model.name} ({reason.strip()}). Its `forward` may "
            "not branch on the values of the features, and has to take any number of rows."
        ) from error
    finally:
        logging.getLogger("torch").setLevel(level)
    return buffer.getvalue()


def _loaded(program: bytes) -> torch.nn.Module:
    """Return what others will load: the module of the written program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(io.BytesIO(program)).module()


def _compared(
    model: LoadedModel,
    meaning: OutputMeaning,
    steps: TransformSteps,
    program: torch.nn.Module,
    given: np.ndarray,
    rows: str,
) -> Comparison:
    """Compare a program with its model, in batches of one row, of two and of all."""
    differences, largest = [], 0.0
    for batch in (given[:1], given[:2], given):
        expected = _expected(model, meaning, steps, batch)
        found = program(torch.from_numpy(batch.copy())).double()
        differences.append((found - expected).abs().max().item())
        largest = max(largest, expected.abs().max().item())
    return Comparison(rows, max(differences), largest)


def _expected(
    model: LoadedModel, meaning: OutputMeaning, steps: TransformSteps, given: np.ndarray
) -> torch.Tensor:
    """Return the predictions of the model as an evaluation computes them, of all classes."""
    row = {FEATURES: given.copy()}
    for step in steps.replaced:
        row = step(row)
    features = to_tensors(row, doubles=True)[FEATURES]
    outputs = model.model(features.float() if features.dtype == torch.float64 else features)
    predictions = meaning.predictions(outputs, torch.zeros(len(given)))
    predictions = in_unit_of_target(model.parts, meaning, predictions)
    if meaning.task == "binary":
        return predictions[..., 1].exp()
    is_logarithm = meaning.task == "classification" and meaning.has_probabilities
    return predictions.exp() if is_logarithm else predictions


def _description(
    model: LoadedModel,
    steps: TransformSteps,
    given: np.ndarray,
    dtype: torch.dtype,
    digest: str,
    comparison: Comparison,
) -> dict[str, Any]:
    """Return what a program needs to know that uses the export."""
    recipe = model.recipe
    training = recipe.training
    task = _meaning(model).task
    has_scores = task == "classification" and not _meaning(model).has_probabilities
    encoding = training.encoding
    return {
        "split": recipe.split,
        "made_from": {"model": digest, "recipe": recipe.digest("training")},
        "packages": versions_of_packages(),
        "input": {
            "name": FEATURES,
            "shape": ["rows", *given.shape[1:]],
            "dtype": str(given.dtype),
            "features": list(training.task.features),
            "outside": _outside(training, steps),
        },
        "columns": [one.model_dump(mode="json") for one in model.columns],
        "encoding": encoding.model_dump(mode="json") if encoding else None,
        "codes_of_words": _CODES_OF_WORDS,
        "output": {
            "shape": ["rows", "values"],
            "dtype": str(dtype).removeprefix("torch."),
            "task": task,
            "meaning": "the score of every class" if has_scores else _MEANINGS[task],
            "target": list(training.task.target),
            "classes": model.class_names,
        },
        "compared": {
            "rows": comparison.rows,
            "largest_difference": comparison.largest_difference,
            "largest_prediction": comparison.largest_prediction,
            "tolerance": TOLERANCE,
        },
    }
