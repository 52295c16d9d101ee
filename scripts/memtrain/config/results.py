"""Where the results of a dataset lie: the only module that spells a path below ``results/``.

Rules spell their outputs once more, as Snakemake's patterns. What lies inside ``state/<split>/``,
``lineage/`` and ``manifest/`` is named by the modules that write there.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memtrain.core.errors import UserError
from memtrain.core.wording import listed

if TYPE_CHECKING:
    from memtrain.config.dataset import DatasetSettings

RESULTS_FOLDER = "results"

#: The configuration of a project, unless Snakemake is told another one; below ``results/``, the
#: configuration as it was understood.
CONFIGURATION_FILE = "config.yaml"

#: The names of the trackers, as the configuration has them.
TRACKERS = ("tensorboard", "mlflow")

# Results name these in what they say of themselves, whatever path a program was given.
DATA_FILE = "data.npy"
ROWS_FILE = "rows.json"
INDEXED_FILE = "indexed.json"
GROUPS_FILE = "groups.npy"
BORDERS_FILE = "borders.npy"
HISTORY_FILE = "history.csv"
VALIDATION_FILE = "validation.csv"
PREDICTIONS_FILE = "predictions.npy"

#: Beside a model: what hooks of the user's own write, which is no promised result.
HOOKS_FOLDER = "hooks"


@dataclass(frozen=True)
class SplitLayout:
    """The files of one split.

    Attributes:
        folder: ``results/<dataset>/splits/<split>``.
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe, from resolve_splits."""
        return self.folder / "split.json"

    @property
    def model(self) -> Path:
        """The weights, from train."""
        return self.folder / "model.safetensors"

    @property
    def history(self) -> Path:
        """The table with a line for every optimizer step, from train."""
        return self.folder / HISTORY_FILE

    @property
    def validation(self) -> Path:
        """The table with a line for every validation, from train."""
        return self.folder / VALIDATION_FILE

    @property
    def performance(self) -> Path:
        """Time, memory and machine of the training, from train."""
        return self.folder / "performance.json"

    @property
    def evaluation(self) -> Path:
        """Losses and metrics of the model, from evaluate."""
        return self.folder / "evaluation.json"

    @property
    def predictions(self) -> Path:
        """The predictions for the evaluation rows, from evaluate."""
        return self.folder / PREDICTIONS_FILE

    @property
    def figures(self) -> Path:
        """The digests of the figures and of what they were made from, from draw."""
        return self.folder / "figures" / "made_from.json"


@dataclass(frozen=True)
class PredictionLayout:
    """The files of one of the predictions that the configuration asks for.

    Attributes:
        folder: ``results/<dataset>/predictions/<name>``.
    """

    folder: Path

    @property
    def predictions(self) -> Path:
        """The predictions, from predict."""
        return self.folder / PREDICTIONS_FILE

    @property
    def made_from(self) -> Path:
        """The digests of the predictions and of what they were made from."""
        return self.folder / "made_from.json"


@dataclass(frozen=True)
class ResultsLayout:
    """The files and folders of one dataset.

    Attributes:
        root: ``results/<dataset>``.
    """

    root: Path

    @classmethod
    def of_dataset(cls, name: str) -> "ResultsLayout":
        """Return the layout of a dataset, seen from the working directory."""
        return cls(Path(RESULTS_FOLDER, name))

    @classmethod
    def of_split(cls, folder: Path) -> "ResultsLayout | None":
        """Return the layout of the dataset that a split is one of; None for a copied folder.

        Args:
            folder: the folder of the split.
        """
        layout, own = cls(folder.resolve().parent.parent), folder.resolve()
        is_inside = layout.split(own.name).folder == own and layout.source.is_file()
        return layout if is_inside else None

    @classmethod
    def of_project(cls, folder: Path) -> "list[ResultsLayout]":
        """Return the layouts of all datasets of a project that have been run before."""
        found = [cls(path) for path in sorted((folder / RESULTS_FOLDER).glob("*"))]
        return [layout for layout in found if layout.configuration.exists()]

    @classmethod
    def find(cls, folder: str | os.PathLike | None = None) -> "ResultsLayout":
        """Return the layout of a dataset that has been run before.

        Args:
            folder: the folder of the dataset; None for the only one below ``results``.

        Raises:
            UserError: if there is no such folder, or it is that of a project; if none is given, and
                there is no dataset or more than one.
        """
        if folder is not None:
            if not os.path.isdir(folder):
                raise UserError(
                    f"{folder}: there is no such folder. Name the folder of a dataset, "
                    f"{RESULTS_FOLDER}/<dataset>."
                )
            if inside := cls.of_project(Path(folder)):
                names = listed(layout.root for layout in inside)
                raise UserError(
                    f"{folder}: this is the folder of a project. Name a dataset in it: {names}."
                )
            return cls(Path(folder))
        found = cls.of_project(Path())
        if len(found) == 1:
            return found[0]
        if found:
            names = listed(layout.root for layout in found)
            raise UserError(f"{RESULTS_FOLDER} has several datasets; name one of {names}.")
        raise UserError(
            f"{cls.of_dataset('<dataset>').configuration}: there is no such file here. The "
            "workflow writes it when it starts. Name the folder of a dataset, or run this in the "
            f"folder that holds {RESULTS_FOLDER}."
        )

    @property
    def configuration(self) -> Path:
        """The configuration as the workflow understood it."""
        return self.root / CONFIGURATION_FILE

    @property
    def data(self) -> Path:
        """The rows: the record file that holds them; or, of rows in files, their description."""
        rows = self.root / ROWS_FILE
        return rows if rows.exists() else self.root / DATA_FILE

    def data_of(self, dataset: "DatasetSettings") -> Path:
        """Return the rows as a dataset has them, which need not be there yet."""
        return self.root / data_file(dataset)

    @property
    def groups(self) -> Path:
        """The first row of every group of rows; only there where the rows have groups."""
        return self.root / GROUPS_FILE

    @property
    def source(self) -> Path:
        """The description of the source that the rows were generated or imported from."""
        return self.root / "source.json"

    @property
    def manifest(self) -> Path:
        """The manifest of the shards; its parts lie in a folder of the same name beside it."""
        return self.root / "manifest.json"

    @property
    def splits(self) -> Path:
        """The folder that holds a folder for every split."""
        return self.root / "splits"

    def split(self, name: str) -> SplitLayout:
        """Return the layout of a split."""
        return SplitLayout(self.splits / name)

    @property
    def predictions(self) -> Path:
        """The folder that holds a folder for all predictions of one name."""
        return self.root / "predictions"

    def prediction(self, name: str) -> PredictionLayout:
        """Return the layout of the predictions of one name."""
        return PredictionLayout(self.predictions / name)

    def all_of_prediction(self, name: str) -> list[Path]:
        """Return where every file and folder would lie that is there for predictions alone."""
        return [
            self.prediction(name).folder,
            self.root / "logs" / "predict" / f"{name}.log",
            split_benchmark(self.benchmarks, "predict", name),
            self.verdict("predict", name),
        ]

    def state(self, split: str) -> Path:
        """Return the folder for the checkpoints and the progress of the training of a split."""
        return self.root / "state" / split

    @property
    def tracking(self) -> Path:
        """The folder of what trackers were sent; no result depends on it."""
        return self.root / "tracking"

    @property
    def records(self) -> Path:
        """The folder of the lineage records."""
        return self.root / "lineage"

    @property
    def summary(self) -> Path:
        """The digests of the summary and of what it was made from, from summarize."""
        return self.root / "summary" / "made_from.json"

    @property
    def known_headers(self) -> Path:
        """The headers of files that were read before; no result depends on it."""
        return self.root / "state" / "headers.json"

    @property
    def indexed_contents(self) -> Path:
        """The digests that files had when they were indexed; no result depends on it."""
        return self.root / "state" / INDEXED_FILE

    @property
    def known_code(self) -> Path:
        """What was found in the files of code that jobs can reach."""
        return self.root / "state" / "code.json"

    @property
    def known_digests(self) -> Path:
        """The digests of large files that were read before; no result depends on it."""
        return self.root / "state" / "files.json"

    @property
    def unfinished_run(self) -> Path:
        """What failed in the last run, and what was finished; not there after a whole run."""
        return self.root / "state" / "unfinished.json"

    @property
    def withdrawn_rows(self) -> Path:
        """Where withdrawn rows were found in the data file; without it they are found again."""
        return self.root / "state" / "withdrawn_rows.json"

    def replaced_data(self) -> list[Path]:
        """Rows of an earlier source, where the rows are read from files now."""
        is_in_files = self.data.name == ROWS_FILE
        return [self.root / DATA_FILE, self.groups] if is_in_files else []

    def part_of_manifest(self, group: str) -> Path:
        """Return the file that says what the part of the manifest of a group of files holds."""
        return self.manifest.with_suffix("") / f"{group}.json"

    def verdict(self, rule: str, split: str | None = None) -> Path:
        """Return the file that tells Snakemake whether the results of a rule are current."""
        folder = self.root / "verdicts"
        return folder / rule if split is None else folder / rule / split

    def all_of_split(self, name: str) -> list[Path]:
        """Return where every file and folder would lie that is there for a split alone."""
        rules = ("train", "evaluate", "draw")
        return [
            self.split(name).folder,
            self.state(name),
            *(self.tracking / "sent" / tracker / f"{name}.json" for tracker in TRACKERS),
            *(self.root / "logs" / rule / f"{name}.log" for rule in (*rules, "offer_base")),
            *(split_benchmark(self.benchmarks, rule, name) for rule in rules),
            *(self.verdict(rule, name) for rule in (*rules, "offer_base")),
        ]

    @property
    def benchmarks(self) -> Path:
        """The folder of Snakemake's benchmarks."""
        return self.root / "benchmarks"


def data_file(dataset: "DatasetSettings") -> str:
    """Return the name of the file of the rows of a dataset, below the folder of its results."""
    return DATA_FILE if dataset.files is None else ROWS_FILE


def split_benchmark(benchmarks: str | os.PathLike, rule: str, split: str) -> Path:
    """Return the file in which Snakemake notes time and memory of the job of a rule for a split.

    Args:
        benchmarks: the folder of Snakemake's benchmarks.
        rule: "train", "evaluate", "draw" or "predict".
        split: the name of the split, or of the predictions.
    """
    return Path(benchmarks, rule, f"{split}.jsonl")
