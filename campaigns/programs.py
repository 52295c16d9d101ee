"""The programs of a project, with the arguments that the rules give them."""

from collections.abc import Iterator
from dataclasses import dataclass

from campaigns.sample_project import REPOSITORY
from memtrain.config.parsing import settings_text
from memtrain.config.results import ResultsLayout
from memtrain.config.schema import Configuration
from memtrain.lineage.records.arguments import RecordingOptions

SCRIPTS = REPOSITORY / "scripts"

#: What a program finds: everything finished but what it writes; everything finished; or a training
#: that was killed before it wrote its model. Or else the name of the program that ran before.
UNWRITTEN, FINISHED, STOPPED = "unwritten", "finished", "stopped"

_ROWS = ("--rows", "3:5")


@dataclass(frozen=True)
class Program:
    """A program of the project.

    Attributes:
        name: its name in the cases of a campaign.
        command: the script and its arguments.
        writes: patterns of the files that it writes, in the project; none for a question.
        finds: what it finds in the project: one of the constants above, or a program that ran.
    """

    name: str
    command: tuple[str, ...]
    writes: tuple[str, ...] = ()
    finds: str = UNWRITTEN


def all_programs(configuration: Configuration) -> dict[str, Program]:
    """Return all programs of a project by their names."""
    made = [*Chain(configuration).programs(), *_others(configuration)]
    return {program.name: program for program in made}


class Chain:
    """The programs that make all results, in their order.

    Args:
        configuration: the configuration of the project.
    """

    def __init__(self, configuration: Configuration):
        self._configuration = configuration
        self._results = ResultsLayout.of_dataset(configuration.dataset.name)
        options = RecordingOptions(self._results.records, configuration.lineage)
        self._recording = [
            "--records",
            options.folder,
            "--lineage",
            settings_text(options.settings),
        ]

    def programs(self) -> Iterator[Program]:
        """Yield the programs."""
        yield self._rows()
        yield self._index()
        yield self._resolve()
        for split in self._configuration.split_names:
            yield self.train(split)
            if split in self._configuration.evaluated_splits:
                yield self._evaluate(split)
                yield self._draw(split)
        yield self._summarize()

    def _rows(self) -> Program:
        dataset = self._configuration.dataset
        how = dataset.mock or dataset.import_
        assert how is not None
        script = "generate_data" if dataset.mock else "import_data"
        data, source = self._results.data, self._results.source
        settings = settings_text(how)
        return _program(
            script,
            [script, "--settings", settings, "--data", data, "--source", source, *self._recording],
            writes=[data, source],
        )

    def _index(self) -> Program:
        results, shards = self._results, self._configuration.shards
        files = ["--data", results.data, "--manifest", results.manifest]
        how = ["--rows-per-shard", shards.rows, "--digest", shards.digest]
        return _program(
            "index_shards",
            ["index_shards", *files, *how, *self._recording],
            writes=[results.manifest, results.manifest.with_suffix("") / "*"],
        )

    def _resolve(self) -> Program:
        results = self._results
        files = ["--data", results.data, "--manifest", results.manifest, "--source", results.source]
        return _program(
            "resolve_splits",
            [
                *("resolve_splits", "--config", results.configuration, *files),
                *("--splits", results.splits, *self._recording),
            ],
            writes=[results.splits / "*" / "split.json"],
        )

    def train(self, split: str, name: str = "train", finds: str = UNWRITTEN) -> Program:
        """Return the training of a split.

        Args:
            split: the split.
            name: the name of the program.
            finds: what it finds.
        """
        files = self._results.split(split)
        running = settings_text(self._configuration.running)
        return _program(
            f"{name}-{split}",
            [
                *("train", "--data", self._results.data, "--split", files.recipe),
                *("--model", files.model, "--history", files.history),
                *("--performance", files.performance, "--state", self._results.state(split)),
                *("--running", running, "--loading", settings_text(self._configuration.loading)),
                *self._recording,
            ],
            writes=[files.model, files.history, files.performance],
            finds=finds,
        )

    def _evaluate(self, split: str) -> Program:
        files = self._results.split(split)
        predictions = files.folder / "predictions.npy"
        return _program(
            f"evaluate-{split}",
            [
                *("evaluate", "--data", self._results.data, "--split", files.recipe),
                *("--model", files.model, "--history", files.history),
                *("--evaluation", files.evaluation, "--predictions", predictions),
                *self._recording,
            ],
            writes=[files.evaluation, predictions],
        )

    def _draw(self, split: str) -> Program:
        files = self._results.split(split)
        figures = files.folder / "figures"
        return _program(
            f"draw-{split}",
            [
                *("draw", "--split", files.recipe, "--evaluation", files.evaluation),
                *("--predictions", files.folder / "predictions.npy", "--history", files.history),
                *("--figures", figures, *self._recording),
            ],
            writes=[figures / "*"],
        )

    def _summarize(self) -> Program:
        results, folder = self._results, self._results.root / "summary"
        return _program(
            "summarize",
            [
                *("summarize", "--config", results.configuration, "--splits", results.splits),
                *("--csv", folder / "summary.csv", "--table", folder / "summary.md"),
                *("--figure", folder / "comparison.png", "--page", folder / "lineage.html"),
                *("--manifest", results.manifest, *self._recording),
            ],
            writes=[folder / "*"],
        )


def _others(configuration: Configuration) -> Iterator[Program]:
    """Yield a resumed training, the programs that users call, and rows that are made up."""
    split = configuration.split_names[0]
    results = ResultsLayout.of_dataset(configuration.dataset.name)
    yield Chain(configuration).train(split, "resume", STOPPED)
    withdraw = ["lineage", "withdraw", *_ROWS, "--reason", "asked"]
    withdrawals = ["withdrawals.yaml"]
    yield _program("withdraw", withdraw, writes=withdrawals, finds=FINISHED)
    yield _program("restore", ["lineage", "restore", *_ROWS], writes=withdrawals, finds="withdraw")
    yield _program("status", ["status", "--once"], finds=FINISHED)
    yield _program("status-stopped", ["status", "--json"], finds=STOPPED)
    yield _program("verify", ["lineage", "verify"], finds=FINISHED)
    yield _program("verify-withdrawn", ["lineage", "verify"], finds="withdraw")
    yield _program("explain", ["lineage", "explain", results.split(split).model], finds=FINISHED)
    yield _program("impact", ["lineage", "impact", *_ROWS], finds=FINISHED)
    yield _program("log", ["lineage", "log"], finds=FINISHED)
    yield _program("page", ["lineage", "page", "page.html"], writes=["page.html"], finds=FINISHED)
    made_up = ["made/data.npy", "made/source.json"]
    settings = "{rows: 64, features: 3, target: linear, seed: 5}"
    files = ["--data", made_up[0], "--source", made_up[1]]
    yield _program("generate_data", ["generate_data", "--settings", settings, *files],
                   writes=made_up)  # fmt: skip


def _program(name: str, words: list, *, writes=(), finds: str = UNWRITTEN) -> Program:
    script, *arguments = map(str, words)
    return Program(
        name, (str(SCRIPTS / f"{script}.py"), *arguments), tuple(map(str, writes)), finds
    )
