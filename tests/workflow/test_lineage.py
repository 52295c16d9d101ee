"""The lineage commands on projects that have run, were changed, and have run again."""

import json
import os
import subprocess
from collections import Counter

import numpy as np
import pytest

from tests.workflow.conftest import environment

RECORDS = "results/small/lineage"

FIRST, SECOND, SHARE = (
    f"results/small/splits/{split}/model.safetensors" for split in ("first", "second", "share")
)


def flip_byte(project, row):
    """Flip a bit in a row of the data, and keep the file's time of modification."""
    path = project / "results/small/data.npy"
    before = os.stat(path)
    row_bytes = np.load(path, mmap_mode="r").dtype.itemsize
    with open(path, "r+b") as file:
        file.seek(4096 + row * row_bytes + 5)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def models(project):
    return project.results("splits/*/model.safetensors")


def test_a_model_is_explained_back_to_the_generator(project):
    answer = project.lineage("explain", FIRST)
    for part in (
        "made by train/first",
        "results/small/data.npy  rows [0, 1500)",
        "shards: 0 sha256:",
        "made by resolve_splits",
        "made by index_shards",
        "made by generate_data",
        "mock.seed=3",
    ):
        assert part in answer, answer
    tree = json.loads(project.lineage("explain", FIRST, "--json"))["tree"]
    data, recipe = tree["inputs"]
    assert [shard["rows"] for shard in data["shards"]] == [[0, 1000], [1000, 1500]]
    assert recipe["path"] == "results/small/splits/first/split.json"
    assert tree["made_by"]["environment"]["packages"]["torch"]
    assert len(tree["made_by"]["details"]["training"]["order_digest"]) == 71


def test_every_run_is_recorded_with_the_reason_of_its_job(project):
    entries = json.loads(project.lineage("log", "--json"))
    assert sorted(entry["name"] for entry in entries) == [
        "draw/first",
        "draw/second",
        "draw/share",
        "evaluate/first",
        "evaluate/second",
        "evaluate/share",
        "generate_data",
        "index_shards",
        "resolve_splits",
        "summarize",
        "train/first",
        "train/second",
        "train/share",
        "workflow",
    ]
    assert {entry["state"] for entry in entries} == {"completed"}
    for entry in entries:
        assert entry["name"] == "workflow" or entry["reason"] == "new"


def test_impact_lists_the_files_that_were_made_from_rows(project):
    reached = json.loads(project.lineage("impact", "--rows", "2500:2510", "--json"))
    paths = {one["path"] for one in reached}
    assert {SECOND, SHARE} <= paths
    assert FIRST not in paths
    assert "results/small/summary/summary.md" in paths
    assert "results/small/splits/first/evaluation.json" not in paths
    assert "results/small/splits/share/figures/errors.png" in paths
    assert "results/small/splits/first/figures/errors.png" not in paths
    by_shard = json.loads(project.lineage("impact", "--shard", "19", "--json"))
    assert "results/small/splits/first/evaluation.json" in {one["path"] for one in by_shard}
    assert not {FIRST, SECOND, SHARE} & {one["path"] for one in by_shard}


def test_snakemake_makes_again_the_targets_that_impact_lists(project):
    targets = project.lineage("impact", "--rows", "2500", "--targets").split()
    run = project.snakemake(*targets)
    assert run.jobs == [
        "draw second",
        "draw share",
        "evaluate second",
        "evaluate share",
        "index_shards",
        "resolve_splits",
        "summarize",
        "train second",
        "train share",
    ]


def test_a_flipped_byte_is_found_with_the_models_that_it_reaches(project):
    project.lineage("verify")
    flip_byte(project, 2500)
    project.lineage("verify", "--quick")
    answer = project.lineage("verify", status=1)
    assert "shard 2 (rows [2000, 3000), bytes [" in answer
    assert f"models trained on corrupt rows: {SECOND}, {SHARE}\n" in answer
    assert f"models whose rows are unchanged: {FIRST}\n" in answer
    answer = project.lineage("verify", FIRST, status=1)
    assert "data.npy was changed by hand" in answer
    assert f"models whose rows are unchanged: {FIRST}\n" in answer
    assert project.snakemake().jobs == ["generate_data", "index_shards", "resolve_splits"]
    project.lineage("verify")


def test_verify_finds_a_row_order_that_the_recipe_does_not_declare(project):
    """The record is edited to hold the digest that another row order would have."""
    assert "0 findings" in project.lineage("verify", FIRST, SECOND)
    for path in (project / "results/small/lineage/events").rglob("*.jsonl"):
        text = path.read_text()
        if '"name": "train/first"' in text:
            order = json.loads(text.splitlines()[-1])["run"]["facets"]["memtrain_details"]
            digest = order["details"]["training"]["order_digest"]
            path.write_text(text.replace(digest, "sha256:" + 64 * "0"))
    (project / "results/small/lineage/index.sqlite").unlink()
    (finding,) = json.loads(project.lineage("verify", FIRST, SECOND, "--json", status=1))[
        "findings"
    ]
    assert finding["kind"] == "order"
    assert finding["path"] == FIRST
    assert finding["details"] == {"observed": "sha256:" + 64 * "0", "declared": digest}


@pytest.mark.parametrize("how", ["all", "none"])
def test_a_training_on_a_flipped_byte_fails_if_all_shards_are_verified(project, how):
    flip_byte(project, 2500)
    done = subprocess.run(
        [
            *("python", "scripts/train.py", "--data", "results/small/data.npy"),
            *("--split", "results/small/splits/second/split.json", "--performance", "p.json"),
            *("--model", "m.safetensors", "--history", "h.csv", "--records", RECORDS),
            *("--lineage", json.dumps({"verify_shards": how})),
        ],
        cwd=project.folder,
        capture_output=True,
        text=True,
        env=environment(),
    )
    if how == "none":
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert "the bytes of shard 2 (rows [2000, 3000)) are not those that were indexed" in done.stderr
    assert "Traceback" not in done.stderr
    (entry,) = [
        entry
        for entry in json.loads(project.lineage("log", "--json"))
        if entry["name"] == "train/second" and entry["state"] == "failed"
    ]
    assert entry["message"].startswith("results/small/data.npy: the bytes of shard 2")


def test_exactly_the_models_that_were_trained_on_withdrawn_rows_train_again(project):
    before = models(project)
    answer = project.lineage("withdraw", "--rows", "1100:1200", "--reason", "a <b> 'person'")
    assert f"trained on some of these rows: {FIRST}\nmodels trained on these rows: 1;" in answer
    found = project.lineage("verify", status=1)
    assert f"withdrawn: {FIRST}: it was trained on rows that are withdrawn: [1100, 1200)" in found
    assert "WITHDRAWN: made from rows [1100, 1200)" in project.lineage("explain", FIRST, status=1)
    run = project.snakemake()
    assert run.jobs == [
        "draw first",
        "evaluate first",
        "resolve_splits",
        "summarize",
        "train first",
    ]
    project.lineage("verify")
    recipe = json.loads((project / "results/small/splits/first/split.json").read_text())
    assert recipe["training"]["rows"]["ranges"] == [[0, 1100], [1200, 1500]]
    log = (project / "results/small/logs/resolve_splits.log").read_text()
    assert "first: 100 withdrawn rows are left out: [1100, 1200)" in log
    assert "rows [0, 1100), [1200, 1500)" in project.lineage("explain", FIRST)
    difference = project.lineage("diff", FIRST, status=1)
    assert "rows: [0, 1500) -> [0, 1100), [1200, 1500)" in difference
    project.lineage("restore", "--rows", "1100:1200")
    assert project.snakemake().jobs == run.jobs
    assert models(project) == before
    assert [entry["name"] for entry in json.loads(project.lineage("log", "--json"))].count(
        "train/first"
    ) == 3


def test_withdrawals_of_withdrawn_or_missing_rows_are_refused(project):
    project.lineage("withdraw", "--shard", "1", "--reason", "corrupt")
    for arguments in (
        ["withdraw", "--rows", "1999:2001", "--reason", "again"],
        ["withdraw", "--rows", "19990:20001", "--reason", "too far"],
        ["withdraw", "--shard", "20", "--reason", "no such shard"],
        ["restore", "--rows", "1000:1001"],
        ["restore", "--rows", "5:6"],
        ["withdraw", "--rows", "6:5", "--reason", "backwards"],
    ):
        project.lineage(*arguments, status=2)
    project.lineage("restore", "--shard", "1")


def test_withdrawn_rows_that_are_not_found_stop_the_workflow_until_they_are_stated_gone(project):
    project.lineage("withdraw", "--rows", "10:20", "--reason", "x")
    project.configure(lambda content: content["dataset"]["mock"].update(seed=4))
    recipe = "results/small/splits/first/split.json"
    run = project.snakemake(recipe, check=False)
    assert run.status == 1
    assert "rows [10, 20) (x): 10 of these 10 withdrawn rows are not found in the" in run.output
    answer = project.lineage("withdraw", "--gone", "--reason", "another seed")
    assert answer.startswith("rows [10, 20) (x): 10 of 10 have left the source; commit")
    project.snakemake(recipe)
    log = (project / "results/small/logs/resolve_splits.log").read_text()
    assert "rows [10, 20) (x): none of these withdrawn rows is in the data any more" in log
    assert "withdrawn rows are left out" not in log


def test_a_split_whose_rows_are_all_withdrawn_is_an_error(project):
    project.lineage("withdraw", "--rows", "0:1600", "--reason", "x")
    run = project.snakemake(check=False)
    assert "splits.first.train: all of its rows are withdrawn" in run.output


RECORDING = """
import numpy as np

def record(row):
    with open("visited.txt", "a") as file:
        file.write(f"{int(row['features'][0])}\\n")
    return row
"""


def test_withdrawn_rows_are_never_visited_again(new_project):
    """The only feature of a row is its number, and the transform logs every row that it gets."""
    splits = {"one": {"train": [[0, 150], [200, 300]], "evaluate": [300, 320]}}
    project = new_project(
        {
            "dataset": {
                "name": "small",
                "import": {"path": "rows.npz", "features": ["number"], "target": ["y"]},
            },
            "shards": {"rows": 32},
            "splits": splits,
            "training": {
                "batch_size": 8,
                "epochs": 2,
                "model": "linear",
                "transform": "recording:record",
                "optimizer": {"name": "SGD", "lr": 1e-9},
            },
            "evaluation": {"bootstrap": 0},
        }
    )
    numbers = np.arange(320, dtype=np.float32)
    np.savez(project / "rows.npz", number=numbers, y=numbers)
    (project / "recording.py").write_text(RECORDING)
    project.snakemake("results/small/splits/one/model.safetensors")
    (project / "visited.txt").unlink()
    project.lineage("withdraw", "--rows", "100:210", "--reason", "x")
    project.snakemake("results/small/splits/one/model.safetensors")
    visited = [int(line) for line in (project / "visited.txt").read_text().split()]
    left = [*range(100), *range(210, 300)]
    assert set(visited) - set(left) == set()
    # Each row is visited in two epochs; the dry run of resolve_splits visits the first ones, too.
    expected, found = Counter([*left, *left]), Counter(visited)
    assert expected - found == Counter()
    assert set(found - expected) == set(range(8))


def test_a_job_that_fails_and_one_that_is_killed_are_recorded(project):
    (project / "own.py").write_text(
        "import os, signal\nfrom torch import nn\n\nclass Net(nn.Linear):\n"
        "    def __init__(self, in_features, out_features):\n"
        "        super().__init__(in_features, out_features)\n"
        "        if 'state' in ' '.join(__import__('sys').argv):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    own = {"model": "own:Net"}
    project.configure(lambda content: content["splits"]["first"].update(training=own))
    assert project.snakemake(check=False).status == 1
    entries = json.loads(project.lineage("log", "--json"))
    assert [one["state"] for one in entries if one["name"] == "train/first"] == [
        "completed",
        "running",
    ]
    assert [one["state"] for one in entries if one["name"] == "workflow"] == ["completed", "failed"]


def test_two_projects_on_one_disk_can_run_at_the_same_time(new_project):
    projects = [new_project(name=name) for name in ("one", "two")]
    command = ["snakemake", "--cores", "1", FIRST]
    running = [
        subprocess.Popen(command, cwd=project.folder, env=environment(), stderr=subprocess.DEVNULL)
        for project in projects
    ]
    assert [process.wait() for process in running] == [0, 0]
    for project in projects:
        names = [entry["name"] for entry in json.loads(project.lineage("log", "--json"))]
        assert sorted(names) == [
            "generate_data",
            "index_shards",
            "resolve_splits",
            "train/first",
            "workflow",
        ]


@pytest.mark.parametrize("was_indexed", [False, True])
def test_a_damaged_record_is_named_and_nothing_else_is_lost(project, was_indexed):
    index = project / "results/small/lineage/index.sqlite"
    index.unlink(missing_ok=True)
    if was_indexed:
        project.lineage("log")
    (record,) = (
        path
        for path in (project / "results/small/lineage/events").glob("*/*")
        if '"train/first"' in path.read_text()
    )
    record.write_text(record.read_text()[:100])
    answer = project.lineage("verify", status=1)
    assert "this record cannot be read" in answer
    assert "files compared byte by byte" in answer
    assert SECOND in answer


def test_queries_that_make_no_sense_exit_with_status_2(project):
    for arguments in (
        ["explain", "results/small/nothing.json"],
        ["diff", FIRST],
        ["diff", FIRST, "nothing"],
        ["impact"],
        ["impact", "--rows", "x"],
        ["log", "nowhere"],
    ):
        project.lineage(*arguments, status=2)
