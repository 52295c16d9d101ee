"""Writes a trained model as a program of ``torch.export``, with all that is needed to use it.

The program is compared with the model before its files get their names.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memtrain.components.loss_kinds import task_of
from memtrain.config.objects import describe_exception
from memtrain.core.errors import UserError
from memtrain.core.wording import listed
from memtrain.data.made_from import versions_of_packages
from memtrain.data.row_decoding import to_tensors
from memtrain.data.source import FEATURES
from memtrain.inference.compared_elements import (
    Features,
    described_input,
    described_output,
    expected_of_elements,
    outputs_of_ragged,
    program_inputs,
    recorded_inputs,
    shortened,
    tried_batches,
    tried_together,
)
from memtrain.inference.exported_elements import ExportedRagged, ExportedSequences
from memtrain.inference.exported_module import (
    ExportedModule,
    ModelToExport,
    TransformSteps,
    transform_steps,
)
from memtrain.inference.loaded_model import LoadedModel
from memtrain.inference.process_settings import computing_as_evaluated
from memtrain.inference.ragged_features import RaggedFeatures
from memtrain.inference.recorded_program import FixedLengthError, RecordedProgram, load, record
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

#: What the predictions are, by the task.
_MEANINGS = {
    "regression": "the predicted numbers, in the unit of the target",
    "binary": "the probability of yes",
    "classification": "the probability of every class, in the order of `classes`",
    "sequence": "the probability of every class of each element, in the order of `classes`",
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
    steps = transform_steps(model.parts.transform)
    _refuse(model, steps)
    meaning = _meaning(model)
    dtype = torch.float64 if _has_doubles(model) else torch.float32
    module = _module(model, meaning, steps, dtype).eval().requires_grad_(False)
    with computing_as_evaluated(model.recipe.training.settings), torch.no_grad():
        example = recorded_inputs(_given(features.values[:1], steps))
        program = _recorded(model, module, example)
        given = _tried(model, meaning, steps, features, program.longest)
        comparison = _compared(
            model, meaning, steps, load(program.content), given, features.text_of(len(given))
        )
    if not comparison.share <= TOLERANCE:
        raise UserError(
            f"{model.recipe.split}: the predictions of the exported program are up to "
            f"{comparison.largest_difference:g} from those of the model, which are up to "
            f"{comparison.largest_prediction:g}. More than {TOLERANCE:g} of that is no rounding: "
            "nothing was written. A model that branches on the values of its features cannot be "
            "exported."
        )
    described = described_input(given, program.longest)
    description = _description(model, steps, described, dtype, digest, comparison)
    return Export(program.content, description, comparison)


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


def _refuse(model: LoadedModel, steps: TransformSteps) -> None:
    """Raise a ``UserError`` for a model whose rows or outputs no program can be made of."""
    training = model.recipe.training
    what = model.unknown_rows() if training.task.ragged or training.has_sequences else None
    if what is None and training.task.ragged and steps.outside:
        name = training.settings.transform.name
        what = f"takes rows that vary in length behind the transform {name}, which is your own"
    if what:
        raise UserError(
            f"{model.recipe.split}: this model {what}, for which there is no export. "
            "`memtrain.load_model(FOLDER).model` is the module, for a torch.export of your own."
        )


def _module(
    model: LoadedModel, meaning: OutputMeaning, steps: TransformSteps, dtype: torch.dtype
) -> ExportedModule:
    """Return the model with all that happens around it."""
    training, parts = model.recipe.training, model.parts
    has_elements = training.has_sequences or training.has_ragged_target
    scale = parts.target if meaning.task == "regression" or has_elements else None
    around = ModelToExport(parts.model, meaning, steps.inside, scale, dtype)
    if training.task.ragged:
        return ExportedRagged(around, has_elements=has_elements)
    if has_elements:
        return ExportedSequences(around, elements=training.targets)
    return ExportedModule(around)


def _given(features: Features, steps: TransformSteps) -> Features:
    """Return the features that the program takes: behind what stays outside of it."""
    if isinstance(features, RaggedFeatures):
        return features
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


def _recorded(
    model: LoadedModel, module: ExportedModule, example: tuple[torch.Tensor, ...]
) -> RecordedProgram:
    """Return a module as a program for any number of rows, and for rows of any length."""
    name = model.recipe.training.settings.model.name
    try:
        return record(module, example)
    except FixedLengthError:
        raise UserError(
            f"{model.recipe.split}: torch.export makes a program for rows of one length of the "
            f"model {name}, as it does of nn.GRU and nn.LSTM, and its rows vary in length. "
            "`memtrain.load_model(FOLDER)` predicts them."
        ) from None
    except Exception as error:  # Whatever a model of the user's own does in torch.export.
        reason = next(filter(None, str(error).splitlines()), type(error).__name__)
        lengths = ", of any length" if len(example) > 1 else ""
        raise UserError(
            f"{model.recipe.split}: torch.export does not take the model {name} "
            f"({reason.strip()}). Its `forward` may not branch on the values of the features, and "
            f"has to take any number of rows{lengths}."
        ) from error


def _tried(
    model: LoadedModel,
    meaning: OutputMeaning,
    steps: TransformSteps,
    features: SampleFeatures,
    longest: int | None,
) -> Features:
    """Return the rows that a program and its model are compared on.

    Raises:
        UserError: if the model does not take rows that were drawn.
    """
    given = shortened(_given(features.values, steps), longest)
    try:
        return tried_together(given, lambda one: _expected(model, meaning, steps, one).numel())
    except Exception as error:  # Whatever a model of the user's own does with drawn rows.
        if features.use is not None:
            raise
        raise UserError(
            f"{model.recipe.split}: the model fails on {features.text_of(0)} "
            f"({describe_exception(error)}). Name the data file, `--data`, for rows that it knows."
        ) from None


def _compared(
    model: LoadedModel,
    meaning: OutputMeaning,
    steps: TransformSteps,
    program: torch.nn.Module,
    given: Features,
    rows: str,
) -> Comparison:
    """Compare a program with its model, in batches of one row, of two and of all."""
    differences, largest = [], 0.0
    for batch in tried_batches(given):
        expected = _expected(model, meaning, steps, batch)
        found = program(*program_inputs(batch)).double()
        differences.append((found - expected).abs().max().item())
        largest = max(largest, expected.abs().max().item())
    return Comparison(rows, max(differences), largest)


def _expected(
    model: LoadedModel, meaning: OutputMeaning, steps: TransformSteps, given: Features
) -> torch.Tensor:
    """Return the predictions of the model as an evaluation computes them, of all classes."""
    if isinstance(given, RaggedFeatures):
        outputs, mask = outputs_of_ragged(model, given)
    else:
        row = {FEATURES: given.copy()}
        for step in steps.replaced:
            row = step(row)
        features = to_tensors(row, doubles=True)[FEATURES]
        outputs = model.model(features.float() if features.dtype == torch.float64 else features)
        mask = None
    training = model.recipe.training
    if training.has_sequences or training.has_ragged_target:
        return expected_of_elements(model, meaning, outputs, mask)
    predictions = meaning.predictions(outputs, torch.zeros(len(given)))
    predictions = in_unit_of_target(model.parts, meaning, predictions)
    if meaning.task == "binary":
        return predictions[..., 1].exp()
    is_logarithm = meaning.task == "classification" and meaning.has_probabilities
    return predictions.exp() if is_logarithm else predictions


def _meaning_text(model: LoadedModel) -> str:
    if model.recipe.training.has_ragged_target and _meaning(model).task == "other":
        return "the predicted numbers of each element, in the unit of the target"
    return _MEANINGS[_meaning(model).task]


def _description(
    model: LoadedModel,
    steps: TransformSteps,
    described: Mapping[str, Any],
    dtype: torch.dtype,
    digest: str,
    comparison: Comparison,
) -> dict[str, Any]:
    """Return what a program needs to know that uses the export."""
    recipe = model.recipe
    training = recipe.training
    task = _meaning(model).task
    kind = _meaning(model).kind
    is_of_classes = task in ("classification", "sequence")
    has_scores = is_of_classes and kind is not None and kind.outputs == "scores"
    meaning = f"the score of every class{' of each element' * (task == 'sequence')}"
    encoding = training.encoding
    return {
        "split": recipe.split,
        "made_from": {"model": digest, "recipe": recipe.digest("training")},
        "packages": versions_of_packages(),
        "input": {
            **described,
            "features": list(training.task.features),
            "outside": _outside(training, steps),
        },
        "columns": [one.model_dump(mode="json") for one in model.columns],
        "encoding": encoding.model_dump(mode="json") if encoding else None,
        "codes_of_words": _CODES_OF_WORDS,
        "output": {
            "shape": described_output(model),
            "dtype": str(dtype).removeprefix("torch."),
            "task": task,
            "meaning": meaning if has_scores else _meaning_text(model),
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
