"""What results would be made from now: the digests of code, settings, files and withdrawals.

Results say under the same names what they were made from; see ``data.made_from``. A digest is None
where a file is missing, or where it is too large to be read now.
"""

import os
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from memtrain.config.dataset import DatasetSettings, TwoPaths
from memtrain.config.files import FieldSettings
from memtrain.config.predictions import PredictionSettings
from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.core.errors import UserError
from memtrain.data.described_from import described_from, files_of_field
from memtrain.data.files_layout import FilesLayout, is_description
from memtrain.data.groups import read_group_borders
from memtrain.data.made_from import (
    files_digest,
    packages_text,
    settings_digest,
    shard_settings_digest,
    versions_of_packages,
)
from memtrain.data.manifest import Manifest
from memtrain.data.rows_of_files import contents_of_rows, digest_of_contents, files_of_layout
from memtrain.data.source import Source
from memtrain.data.tables.source_files import source_files
from memtrain.recipes.acceptances import Acceptance
from memtrain.recipes.predicted_rows import digest_of_predicted_rows, predicted_settings
from memtrain.recipes.recipe_facts import RecipeFacts, facts_of_recipe
from memtrain.recipes.withdrawals import read_withdrawals, withdrawals_digest
from memtrain.system import canonical_json
from memtrain.system.file_notes import FileNotes
from memtrain.system.known_digests import KnownDigests
from memtrain.workflow.code_reader import CodeReader
from memtrain.workflow.described_groups import described_groups
from memtrain.workflow.result_code import ResultCode, own_modules

#: What a result would be made from: digests by name; None for one that is not known.
MadeFrom = dict[str, str | None]


class Today:
    """What results would be made from if they were made now.

    Each is compared once in a call of Snakemake, so what was found is kept.

    Args:
        configuration: the configuration.
        results: where the results lie.
        scripts: the folder of the scripts.
        withdrawals: the file of withdrawn rows.
        accepted: results that stand although other code or packages made them.
        known: the digests of files.
        reader: reads files of code.
    """

    def __init__(
        self,
        configuration: Configuration,
        results: ResultsLayout,
        *,
        scripts: Path,
        withdrawals: Path,
        accepted: Sequence[Acceptance] = (),
        known: KnownDigests,
        reader: CodeReader,
    ):
        self.configuration = configuration
        self.results = results
        self.known = known
        self.headers = FileNotes(results.known_headers)
        self._withdrawals = withdrawals
        self._accepted = accepted
        self._code = cache(ResultCode(scripts, Path.cwd(), reader).digest)
        self._modules = cache(self._modules_of_split)

    @cached_property
    def splits(self) -> list[str]:
        """The names of the configured splits."""
        return self.configuration.split_names

    @cached_property
    def evaluated_splits(self) -> list[str]:
        """The names of the configured splits that have rows to evaluate on."""
        return self.configuration.evaluated_splits

    @property
    def makes_rows(self) -> str:
        """The rule that makes the rows."""
        return rule_of_rows(self.configuration.dataset)

    @property
    def data(self) -> Path:
        """The rows, as the configured dataset has them."""
        return self.results.data_of(self.configuration.dataset)

    def rows(self) -> MadeFrom:
        """Return what the rows, or their description, would be made from."""
        dataset = self.configuration.dataset
        if dataset.mock is not None:
            settings = settings_digest(dataset.mock)
            return {"code": self.code("generate_data"), "settings": settings}
        if dataset.files is not None:
            return {
                "code": self.code("describe_files"),
                "settings": settings_digest(dataset.files),
                "files": described_from(dataset.files, self.headers, self.known.digest),
            }
        assert dataset.import_ is not None, "rows are generated, imported or described"
        return {
            "code": self.code("import_data"),
            "settings": settings_digest(dataset.import_),
            "files": self._imported_files(dataset.import_.path),
        }

    def manifest(self) -> MadeFrom:
        """Return what the manifest would be made from."""
        shards = self.configuration.shards
        return {
            "code": self.code("index_shards"),
            "settings": shard_settings_digest(shards.rows, shards.digest),
            "data": digest_of_contents(contents) if (contents := self.contents()) else None,
        }

    def contents(self) -> dict[str, str | None]:
        """Return the digests of everything that rows are read from; nothing where it is unknown."""
        if not self.data.is_file():
            return {}
        try:
            layout = FilesLayout.read(self.data) if is_description(self.data) else None
            sizes = files_of_layout(layout) if layout is not None else {}
            return contents_of_rows(self.data, lambda path: self._digest_by_size(path, sizes))
        except UserError:  # The description is damaged, and is made again.
            return {}

    def group(self, name: str) -> MadeFrom:
        """Return what the part of the manifest of a group of files would be made from."""
        shards = self.configuration.shards
        return {
            "code": self.code("index_shards"),
            "settings": shard_settings_digest(shards.rows, shards.digest),
            "files": described_groups(self.data).digest_of(name, self.digest),
        }

    def _digest_by_size(self, path: str | os.PathLike, sizes: Mapping[str, int]) -> str | None:
        """Return the digest of a file, which is not read where its size shows that it changed."""
        size_bytes = sizes.get(os.fspath(path))
        if size_bytes is None or not os.path.isfile(path) or os.path.getsize(path) == size_bytes:
            return self.digest(path)
        return f"{os.path.getsize(path)} bytes"

    def recipe(self, split: str) -> MadeFrom:
        """Return what the recipe of a split would be made from."""
        reads = self.configuration.training_settings(split).files
        return {
            "code": self.code("resolve_splits", split),
            "settings": canonical_json.digest(self.configuration.settings_of_split(split)),
            "source": self.digest(self.results.source),
            "manifest": self.digest(self.results.manifest),
            "withdrawals": self.withdrawals,
        } | ({"reads": self._declared_files(reads)} if reads else {})

    def model(self, split: str) -> MadeFrom:
        """Return what the model of a split would be made from, with the recipe that there is."""
        facts = self._facts(split)
        recipe = facts.digests["training"] if facts else None
        base = self.configuration.base_of(split)
        return {"recipe": recipe, "code": self.code("train", split)} | (
            {"initial": self.digest(self.results.split(base).model)} if base else {}
        )

    def evaluation(self, split: str) -> MadeFrom:
        """Return what the evaluation of a split would be made from."""
        facts = self._facts(split)
        return {
            "recipe": facts.digests["evaluation"] if facts else None,
            "code": self.code("evaluate", split),
            "model": self.digest(self.results.split(split).model),
        }

    def figures(self, split: str) -> MadeFrom:
        """Return what the figures of a split would be made from."""
        files = self.results.split(split)
        return {
            "code": self.code("draw"),
            "evaluation": self.digest(files.evaluation),
            "predictions": self.digest(files.predictions),
            "history": self.digest(files.history),
            "validation": self.digest(files.validation),
        }

    def summary(self) -> MadeFrom:
        """Return what the summary would be made from."""
        layouts = {split: self.results.split(split) for split in self.splits}
        evaluated = self.evaluated_splits
        return {
            "code": self.code("summarize"),
            "settings": canonical_json.digest(self.configuration.settings_of_summary()),
            "recipes": self._digest_of_all({name: one.recipe for name, one in layouts.items()}),
            "evaluations": self._digest_of_all(
                {name: layouts[name].evaluation for name in evaluated}
            ),
            "histories": self._digest_of_all(
                {name: one.history for name, one in layouts.items() if name not in evaluated}
            ),
            "manifest": self.digest(self.results.manifest),
            "withdrawals": self.withdrawals,
        }

    def prediction(self, name: str) -> MadeFrom:
        """Return what predictions would be made from."""
        settings = self.configuration.predictions[name]
        facts, csv = self._facts(settings.split), settings.csv
        return {
            "code": self.code("predict", settings.split),
            "recipe": facts.digests["training"] if facts else None,
            "model": self.digest(self.results.split(settings.split).model),
            "rows": self._predicted_rows(settings),
        } | predicted_settings(settings.files, csv)

    def _predicted_rows(self, settings: PredictionSettings) -> str | None:
        if isinstance(settings.files, FieldSettings):
            files = files_of_field(settings.files)
            return self._digest_of_all({path: Path(path) for path in files})
        if settings.files is not None:
            return self._imported_files(settings.files)
        try:
            manifest = Manifest.read(self.results.manifest)
            source, count = Source.read(self.results.source), manifest.layout.rows
            groups = read_group_borders(self.data, source, count)
        except (UserError, OSError):  # One of them is damaged, and is made again.
            return None
        ranges = settings.resolved(count, groups)
        return digest_of_predicted_rows(manifest, ranges, self.withdrawals)

    @cached_property
    def packages(self) -> str:
        """The versions of the packages that results would be made with."""
        return packages_text(versions_of_packages())

    def acceptance(
        self, result: str, part: str, made_by: str | None, stands_for: str | None
    ) -> Acceptance | None:
        """Return the acceptance of a difference of a result; None if there is none.

        Args:
            result: the rule that made it, and its split, like "train first".
            part: what differs: "code" or "packages".
            made_by: digest or versions of what made the result.
            stands_for: digest or versions of what would make it now.
        """
        given = (result, part, made_by, stands_for)
        return next((one for one in self._accepted if one.covers(*given)), None)

    def code(self, script: str, split: str | None = None) -> str:
        """Return the digest of the code of a script.

        Args:
            script: the name of the script.
            split: the split whose model, transform and loss it builds; None for none.
        """
        evaluates = script == "evaluate"
        modules = () if split is None else self._modules(split, evaluates)
        return self._code(f"{script}.py", modules)

    @cached_property
    def withdrawals(self) -> str:
        """Return the digest of the withdrawn rows."""
        name = self.configuration.dataset.name
        return withdrawals_digest(read_withdrawals(self._withdrawals, name))

    def digest(self, path: str | os.PathLike) -> str | None:
        """Return the digest of a file; None if there is none, or it is too large to be read now."""
        return self.known.digest(path) if os.path.isfile(path) else None

    def _facts(self, split: str) -> RecipeFacts | None:
        try:
            return facts_of_recipe(self.results.split(split).recipe)
        except UserError:
            return None

    def _imported_files(self, path: str | TwoPaths) -> str | None:
        return self._digest_of_all({str(file): file for file in source_files(path)})

    def _declared_files(self, paths: Sequence[str]) -> str | None:
        """Return the digest of files that a training reads, as its recipe names them."""
        if all(os.path.isfile(path) for path in paths):
            return self._digest_of_all({path: Path(path) for path in paths})
        return "a file is missing"  # No recipe says so, so that it is made again, and tells which.

    def _digest_of_all(self, files: dict[str, Path]) -> str | None:
        digests = {name: self.digest(path) for name, path in files.items()}
        known = {name: digest for name, digest in digests.items() if digest is not None}
        return files_digest(known) if len(known) == len(digests) else None

    def _modules_of_split(self, split: str, evaluates: bool) -> tuple[str, ...]:
        evaluation = self.configuration.evaluation if evaluates else None
        return tuple(own_modules(self.configuration.training_settings(split), evaluation))


def rule_of_rows(dataset: DatasetSettings) -> str:
    """Return the rule that makes the rows of a dataset, or describes where they lie."""
    if dataset.mock is not None:
        return "generate_data"
    return "describe_files" if dataset.files is not None else "import_data"
