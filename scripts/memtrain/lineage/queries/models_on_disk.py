"""Tells which rows the models on the disk were trained and validated on, without their records.

A model says which recipe it was trained by. The recipe lies beside it, unless it was made again
since; then the record of a training by this recipe tells the rows. A model for which neither is
found has unknown rows, and may hold any.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from memtrain.config.results import ResultsLayout
from memtrain.core.errors import UserError
from memtrain.core.ranges import Range, overlaps
from memtrain.core.shard_grid import ONE_SECTION, ShardGrid
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.records.privacy import Privacy
from memtrain.lineage.records.run_record import INITIAL_MODEL, VALIDATION_ROWS, PieceUse
from memtrain.recipes.model_file import read_origin
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file

#: What Python raises where JSON is not as it is expected to be.
_WRONG_CONTENT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True)
class TrainedRows:
    """Rows that a model was trained on, and rows that it was validated on meanwhile.

    Attributes:
        trained: the ranges of the rows that it was trained on.
        pieces: the rows of both uses, cut at the borders of shards, with their digests.
        validated: the ranges of the rows that it was validated on.
        inherited: the ranges of the rows of both uses of the models that it comes from: of the one
            that its training started from, and so on.
    """

    trained: Sequence[Range]
    pieces: Sequence[PieceUse]
    validated: Sequence[Range] = ()
    inherited: Sequence[Range] = ()

    @property
    def ranges(self) -> list[Range]:
        """The ranges of the rows that the model has seen, or one that it comes from."""
        return [*self.trained, *self.validated, *self.inherited]

    def coming_from(self, base: "TrainedRows") -> "TrainedRows":
        """Return these rows for a model whose training started from a model with other rows."""
        pieces = dict.fromkeys([*self.pieces, *base.pieces])
        inherited = dict.fromkeys([*self.inherited, *base.ranges])
        return replace(self, pieces=list(pieces), inherited=list(inherited))

    def use_of(self, rows: Sequence[Range]) -> str:
        """Return what some of the rows, which the model has seen, were to it."""
        if not any(overlaps([*self.trained, *self.validated], rows)):
            return "made from a model that was trained on"
        if not any(overlaps(self.validated, rows)):
            return "trained on"
        return "trained and validated on" if any(overlaps(self.trained, rows)) else "validated on"

    def has_digest(self, digest: str) -> bool:
        """Return whether a piece, or a shard that one lies in, has this digest."""
        return any(digest in (piece.digest, piece.shard_digest) for piece in self.pieces)


@dataclass(frozen=True)
class ModelOnDisk:
    """A model that lies on the disk.

    Attributes:
        path: the path of the file, relative to the project.
        split: the name of its split.
        abandoned_folder: the folder of the split if it is no longer configured; None if it is.
        rows: what it was trained on; None where nothing tells.
    """

    path: str
    split: str
    abandoned_folder: str | None
    rows: TrainedRows | None

    @property
    def note(self) -> str | None:
        """What is unusual about the model, and what to do; None where nothing is."""
        notes = []
        if self.rows is None:
            notes.append("nothing tells which rows it was trained on")
        if self.abandoned_folder:
            notes.append(f"its split is no longer configured: delete {self.abandoned_folder}")
        elif notes:
            notes.append("train it again, or delete it")
        return "; ".join(notes) or None

    def facts(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON."""
        return {
            "path": self.path,
            "split": self.split,
            "is_configured": self.abandoned_folder is None,
            "note": self.note,
        }


class ModelsOnDisk:
    """The models of a dataset that lie on the disk.

    Args:
        index: the index of the records.
        results: the files of the dataset.
        project: the folder of the project.
        configured: the names of the configured splits; None where they are not known.
    """

    def __init__(
        self,
        index: LineageIndex,
        *,
        results: ResultsLayout,
        project: Path,
        configured: Collection[str] | None,
    ):
        self._index = index
        self._results = results
        self._privacy = Privacy(project)
        self._configured = configured

    @cached_property
    def models(self) -> list[ModelOnDisk]:
        """All models, ordered by the names of their splits."""
        return [
            self._model(split)
            for split in self._splits
            if self._results.split(split).model.exists()
        ]

    @property
    def unknown(self) -> list[ModelOnDisk]:
        """The models that were trained on rows that nothing tells."""
        return [model for model in self.models if model.rows is None]

    @property
    def abandoned_folders(self) -> list[str]:
        """The folders of the splits that are no longer configured, relative to the project."""
        folders = [self._privacy.path(self._results.split(split).folder) for split in self._splits]
        return [folder for folder in folders if self.abandoned_folder(folder)]

    def abandoned_folder(self, path: str) -> str | None:
        """Return the folder of a split that is no longer configured; None for other files.

        Args:
            path: the path of a file of the split, relative to the project.
        """
        splits = Path(self._privacy.path(self._results.splits))
        if self._configured is None or not Path(path).is_relative_to(splits):
            return None
        split = Path(path).relative_to(splits).parts[0]
        return None if split in self._configured else (splits / split).as_posix()

    def trained_on(self, rows: Sequence[Range]) -> list[ModelOnDisk]:
        """Return the models that were trained, or validated meanwhile, on some of the rows."""
        return [
            model for model in self.models if model.rows and any(overlaps(model.rows.ranges, rows))
        ]

    def trained_on_digest(self, digest: str) -> list[ModelOnDisk]:
        """Return the models that were trained on rows of a shard or of a piece with this digest."""
        return [
            model
            for model in self.models
            if model.rows is not None and model.rows.has_digest(digest)
        ]

    @property
    def _splits(self) -> list[str]:
        """The names of all splits that have a folder."""
        return sorted(path.name for path in self._results.splits.glob("*/"))

    def _model(self, split: str) -> ModelOnDisk:
        file = self._results.split(split).model
        path = self._privacy.path(file)
        origin = read_origin(file)
        recipe = origin.made_from.get("recipe")
        rows = self._rows_of_recipe(split, recipe) if recipe else self._rows_of_file(file)
        for base in origin.bases:
            rows_of_base = self._rows_of_recipe(base.split, base.recipe)
            rows = rows.coming_from(rows_of_base) if rows and rows_of_base else None
        return ModelOnDisk(path, split, self.abandoned_folder(path), rows)

    def _rows_of_recipe(self, split: str, recipe: str) -> TrainedRows | None:
        beside = _read_recipe(self._results.split(split).recipe)
        if beside is not None and beside[0] == recipe:
            return beside[1]
        if recipe in self._trainings:
            return rows_of_run(self._index, self._trainings[recipe])
        return self._recipes.get(recipe)

    def _rows_of_file(self, path: Path) -> TrainedRows | None:
        """Return the rows of a model that does not say its recipe, by the digest of the file."""
        try:
            digest = digest_of_file(path)
        except OSError:
            return None
        for version in self._index.versions(self._privacy.path(path)):
            run = self._index.writer_of(version.id)
            if version.digest == digest and run is not None:
                return rows_of_chain(self._index, run)
        return None

    @cached_property
    def _trainings(self) -> Mapping[str, int]:
        """The recorded trainings, by the digest of their recipe."""
        facts = {run: self._index.run(run) for run in self._index.runs()}
        return {
            recipe: run
            for run, one in facts.items()
            if one.job == "train" and isinstance(recipe := one.parameters.get("recipe"), str)
        }

    @cached_property
    def _recipes(self) -> Mapping[str, TrainedRows]:
        """The rows of all recipes on the disk, by digest: a model may be that of another split."""
        found = (_read_recipe(self._results.split(split).recipe) for split in self._splits)
        return dict(one for one in found if one is not None)


def rows_of_run(index: LineageIndex, run: int) -> TrainedRows | None:
    """Return the rows that a training read; None where its record names none."""
    uses = [use for use in index.uses(run) if not use.is_output]
    trained, validated = (
        [rows for use in uses if use.role == role for rows in index.spans(use)]
        for role in ("rows", VALIDATION_ROWS)
    )
    pieces = [piece for use in uses for piece in index.pieces(use)]
    return TrainedRows(trained, pieces, validated) if trained else None


def rows_of_chain(index: LineageIndex, run: int) -> TrainedRows | None:
    """Return the rows of a training and of those that it comes from; None where one is unknown."""
    rows = rows_of_run(index, run)
    started_at = index.run(run).started_at
    for use in index.uses(run):
        if rows is not None and use.role == INITIAL_MODEL and not use.is_output:
            writer = index.writer_of(use.version.id, started_at)
            base = None if writer is None else rows_of_chain(index, writer)
            rows = None if base is None else rows.coming_from(base)
    return rows


def _read_recipe(path: Path) -> tuple[str, TrainedRows] | None:
    """Return the digest of the training part of a recipe, and its rows; None if it is damaged.

    Recipes of other versions of memtrain are read as well: the digest tells that they are whole.
    """
    try:
        content = canonical_json.read(path, made_by="resolve_splits")
        training = content["training"]
        sections = content.get("shard_sections", ONE_SECTION)
        grid = ShardGrid(content["rows_per_shard"], tuple(tuple(one) for one in sections))
        uses = [training["rows"], training.get("validation") or {"ranges": [], "pieces": []}]
        trained, validated = ([Range(*pair) for pair in use["ranges"]] for use in uses)
        pieces = [_piece(one, grid, content["shards"]) for use in uses for one in use["pieces"]]
        return canonical_json.digest(training), TrainedRows(trained, pieces, validated)
    except (UserError, OSError, *_WRONG_CONTENT):
        return None


def _piece(piece: Mapping[str, Any], grid: ShardGrid, shards: Mapping[str, str]) -> PieceUse:
    start, end = piece["start"], piece["end"]
    shard = grid.shard_at(start)
    return PieceUse(shard, Range(start, end), piece["digest"], shards.get(str(shard)))
