"""Made-up records of a workflow with many splits, and the content of its page."""

import numpy as np

from memtrain.core.ranges import Range
from memtrain.data.manifest import Manifest
from memtrain.data.record_file import RecordLayout
from memtrain.data.shard_summaries import PieceSummary
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.page.content import page_content
from memtrain.lineage.page.split_lines import SplitLine
from tests.unit.lineage.lineage_records import Records, digest_of, file, rows, rows_written

ROWS_PER_SHARD = 1000
CODE = [{"name": "memtrain", "commit": "c" * 40, "is_clean": True}]


def lines_of_splits(splits, rows_in_all):
    """Return lines of splits whose training ranges slide over the dataset.

    All splits are evaluated on the last tenth of the rows.
    """
    last = rows_in_all * 9 // 10
    width = last // 4
    starts = [number * (last - width) // max(1, splits - 1) for number in range(splits)]
    return [
        SplitLine(
            f"part_{number:03}",
            [(start, start + width)],
            [(last, rows_in_all)],
            {"R²": f"0.{number:03} ± 0.004"},
            "R²",
            f"0.{number:03} ± 0.004",
        )
        for number, start in enumerate(starts)
    ]


def manifest_of(rows_in_all):
    layout = RecordLayout(np.dtype("<f4"), (4,), rows_in_all, 4096)
    starts = range(0, rows_in_all, ROWS_PER_SHARD)
    shards = [
        PieceSummary(Range(start, min(start + ROWS_PER_SHARD, rows_in_all)), digest_of(start), {})
        for start in starts
    ]
    return Manifest(layout, ROWS_PER_SHARD, "sha256", shards)


def keep_records(folder, lines, rows_in_all):
    """Record the runs that a workflow with these splits would have."""
    records = Records(folder)
    facts_of_all = {
        "environment": {"python": "3.11", "packages": {"torch": "2.13.0"}, "variables": {}},
        "machine": {"host": "here", "processor": "one", "cores": 2, "memory_bytes": 1 << 33},
    }

    def add(job, inputs, outputs, split=None, **more):
        more.setdefault("effort", {"seconds": 1.5, "peak_memory_bytes": 3 << 20})
        records.add(job, inputs, outputs, split, **facts_of_all, **more)

    source, manifest = file("source.json", "source"), file("manifest.json", "manifest")
    add("generate_data", [], [rows_written("data.npy", (0, rows_in_all)), source])
    add("index_shards", [rows("data.npy", (0, rows_in_all))], [manifest])
    recipes = {one.name: f"splits/{one.name}/split.json" for one in lines}
    written = [file(path, "recipe", name, part=name) for name, path in recipes.items()]
    add("resolve_splits", [manifest, file("config.yaml", "configuration")], written)
    evaluations = []
    for line in lines:
        recipe = file(recipes[line.name], "recipe", line.name)
        model, evaluation = (
            file(f"splits/{line.name}/{name}", role, f"{role}{line.name}")
            for name, role in (("model.safetensors", "model"), ("evaluation.json", "evaluation"))
        )
        settings = {"training.batch_size": 32, "training.seed": 1}
        read = [rows("data.npy", *line.train), recipe]
        add("train", read, [model], line.name, parameters=settings)
        read = [rows("data.npy", *line.evaluate), recipe, model]
        add("evaluate", read, [evaluation], line.name)
        evaluations.append(evaluation)
    add("summarize", evaluations, [file("summary/summary.csv", "summary")])
    return records


def content_of(folder, splits=200, shards=10_000, **more):
    """Return the content of the page of a workflow with many splits."""
    rows_in_all = shards * ROWS_PER_SHARD
    lines = lines_of_splits(splits, rows_in_all)
    keep_records(folder, lines, rows_in_all)
    index = LineageIndex(folder)
    return page_content("many", lines, manifest=manifest_of(rows_in_all), index=index, **more)
