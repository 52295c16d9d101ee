"""How summaries open, what they say of failures and classes, and the summary as a page."""

import base64
import csv

from memtrain.evaluation.result import Evaluation
from memtrain.reporting.job_benchmark import JobBenchmark
from memtrain.reporting.summary import SplitSummary, Summary
from memtrain.reporting.summary_csv import write_csv
from memtrain.reporting.summary_figure import draw_summary
from memtrain.reporting.summary_table import write_page, write_table
from memtrain.workflow.unfinished_run import FailedJob, UnfinishedRun
from tests.unit.reporting.test_summary import PERFORMANCE, size_of_png, summary_of, tables_of


def class_summary(confusions, names=("one", "two")):
    """Return the summary of two splits that tell three classes apart."""
    metrics = {"accuracy": 0.9, "cross_entropy": 0.3}

    def split(name, accuracy):
        evaluation = Evaluation(
            split=name,
            task="classification",
            rows=1000,
            ranges=[(0, 1000)],
            nonfinite_rows=0,
            metrics=metrics | {"accuracy": accuracy},
            errors=dict.fromkeys(metrics, 0.01),
            baseline={"accuracy": 0.4, "cross_entropy": 1.08},
            loss=1.0,
            lowest_loss=None,
            ratio_to_lowest_loss=None,
            recipe="sha256:1",
            evaluation_recipe="sha256:2",
            parameters=3,
            steps=2,
            confusions=confusions,
        )
        return SplitSummary(name, 8000, 2, 100, 1.0, evaluation, PERFORMANCE, JobBenchmark())

    return Summary("mock", [split(name, 0.9 + 0.01 * n) for n, name in enumerate(names)])


def test_classes_that_are_confused_are_named(tmp_path):
    pairs = [("<b>cat</b>", "dog", 20), ("dog", "a " * 50, 1), ("fox", "dog", 1), ("a", "b", 1)]
    keys = ("true", "predicted", "rows")
    confusions = [dict(zip(keys, pair, strict=True)) for pair in pairs]
    summary = class_summary(confusions)
    (tmp_path / "comparison.png").write_bytes(b"drawn")
    write_table(tmp_path / "summary.md", summary)
    write_page(tmp_path / "summary.html", summary, tmp_path / "comparison.png")
    text = " ".join((tmp_path / "summary.md").read_text().split())
    shortened = "a " * 19 + "a…"
    assert (
        "- Confused most by two: \\<b>cat\\</b> taken for dog (20 rows), dog taken for "
        f"{shortened} (1 row), fox taken for dog (1 row)." in text
    )
    assert "accuracy 0.4000; the shares of the classes have cross entropy 1.080." in text
    page = (tmp_path / "summary.html").read_text()
    assert "&lt;b&gt;cat&lt;/b&gt; taken for dog" in page
    assert "<b>" not in page


def test_the_page_has_the_tables_and_the_figure_and_needs_nothing_else(tmp_path):
    summary = summary_of([0.25, 0.5])
    draw_summary(tmp_path / "comparison.png", summary)
    write_table(tmp_path / "summary.md", summary, tmp_path / "comparison.png")
    write_page(tmp_path / "summary.html", summary, tmp_path / "comparison.png")
    page = (tmp_path / "summary.html").read_text()
    tables = tables_of((tmp_path / "summary.md").read_text())
    assert page.count("<table>") == len(tables) == 3
    for table in tables:
        for cell in (cell for row in (table[0], *table[2:]) for cell in row):
            assert f">{cell}<" in page
    image = base64.b64encode((tmp_path / "comparison.png").read_bytes()).decode()
    assert f"data:image/png;base64,{image}" in page
    assert "http" not in page.replace("http-equiv", "")
    assert (
        page.index("Best: ") < page.index("<table>") < page.index("<img") < page.index("<details")
    )


RUN = UnfinishedRun(("fold_0", "fold_1"), (FailedJob("train", "fold_2", "it is nan", "c.log"),))


def test_a_partial_summary_says_so_first_and_names_what_failed(tmp_path):
    known = summary_of([0.25, 0.5])
    summary = Summary("mock", known.splits, unfinished=RUN, left_out=["fold_2", "fold_3"])
    write_table(tmp_path / "summary.md", summary)
    title, partial, notes, *_ = (tmp_path / "summary.md").read_text().split("\n\n")
    assert title == "# mock: 4 splits"
    assert partial.startswith("Partial: 2 of 4 splits are finished.")
    assert notes.splitlines() == [
        "- train/fold_2 failed: it is nan. Log: c.log",
        "- Not finished when the run ended: fold_3.",
    ]
    write_csv(tmp_path / "summary.csv", summary)
    with open(tmp_path / "summary.csv") as file:
        lines = list(csv.DictReader(file))
    assert [(line["split"], line["r2"]) for line in lines] == [
        *(("fold_0", "0.25"), ("fold_1", "0.5"), ("fold_2", ""), ("fold_3", ""))
    ]


def test_a_mean_over_some_of_the_folds_says_so(tmp_path):
    folds = ["fold_0", "fold_1", "fold_2"]
    summary = Summary("mock", summary_of([0.25, 0.5]).splits, folds=folds, left_out=["fold_2"])
    write_table(tmp_path / "summary.md", summary)
    assert "- Over 2 of the 3 folds: R² 0.38 ± 0.18" in (tmp_path / "summary.md").read_text()


def test_a_model_that_says_the_most_frequent_class_is_not_praised(tmp_path):
    summary = class_summary([{"true": "2", "predicted": "1", "rows": 3}])
    for split in summary.splits:
        split.evaluation.baseline.update(accuracy=0.91, cross_entropy=0.2)
    write_table(tmp_path / "summary.md", summary)
    text = " ".join((tmp_path / "summary.md").read_text().split())
    assert "- two has the accuracy of the baseline, so that it has learned nothing" in text
    assert "- The probabilities of two are worse than the shares of the classes" in text
    assert "Confused most by two: class 2 taken for class 1 (3 rows)." in text


def test_names_that_differ_at_their_ends_are_drawn_whole(tmp_path):
    sizes = {}
    for length in (10, 40, 90):
        names = [("station-" * 12)[: length - 1] + end for end in "ab"]
        draw_summary(tmp_path / "comparison.png", class_summary([], names))
        sizes[length] = size_of_png(tmp_path / "comparison.png")
    assert sizes[10][0] == 960
    assert sizes[10][0] < sizes[40][0] < sizes[90][0] < 1200
