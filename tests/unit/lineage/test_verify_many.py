"""Verification reads the record of a run once, however many files the run wrote."""

import hashlib

from memtrain.config.results import ResultsLayout
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.queries.models_on_disk import ModelsOnDisk
from memtrain.lineage.queries.verify import Verifier
from memtrain.lineage.records.run_record import FileUse
from tests.unit.lineage.lineage_records import Records

SPLITS = 150


def write(path, role):
    """Write a file, and return its use by the run that wrote it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path))
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return FileUse(str(path), role, path.stat().st_size, path.stat().st_mtime_ns, digest)


def test_the_record_that_names_all_recipes_is_not_read_for_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = ResultsLayout.of_dataset("d")
    records = Records(results.records)
    files = [results.split(f"s{number}") for number in range(SPLITS)]
    records.add("resolve_splits", outputs=[write(one.recipe, "recipe") for one in files])
    for number, one in enumerate(files):
        records.add("evaluate", outputs=[write(one.evaluation, "evaluation")], split=f"s{number}")
    files[7].recipe.write_text("changed")
    index = LineageIndex(results.records, tmp_path)
    models = ModelsOnDisk(index, results=results, project=tmp_path, configured=None)
    reads, read = [], index.store.read
    index.store.read = lambda name: reads.append(name) or read(name)
    verifier = Verifier(
        index, models=models, project=tmp_path, data="results/d/data.npy", withdrawals=[]
    )
    found = verifier.verify()
    assert len(found.checked) == 2 * SPLITS
    assert [one.path for one in found.findings] == [str(files[7].recipe)]
    assert len(reads) == len(set(reads)) == SPLITS + 1
