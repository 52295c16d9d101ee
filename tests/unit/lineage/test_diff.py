"""What differs between two runs, from made-up records."""

import subprocess

import pytest

from memtrain.lineage.queries.diff import difference
from memtrain.lineage.records.run_record import CodeRoot, RunRecord
from memtrain.system.digests import digest_of_file
from tests.unit.lineage.lineage_records import file, piece, rows


def record(**facts):
    return RunRecord(run_id="x", job="train", started_at="2026-01-01T00:00:00Z", **facts)


def test_a_seed_is_not_among_the_other_settings():
    before = record(parameters={"training.seed": 1, "training.epochs": 2, "same": 3})
    after = record(parameters={"training.seed": 4, "training.epochs": 5, "same": 3})
    found = difference(before, after, None)
    assert [str(change) for change in found.seed] == ["training.seed: 1 -> 4"]
    assert [str(change) for change in found.settings] == ["training.epochs: 2 -> 5"]
    assert list(found.groups) == ["settings", "seed"]


def test_rows_are_compared_by_their_ranges_and_then_by_their_bytes():
    pieces = [piece(0, 0, 10, "1"), piece(1, 10, 20, "2")]
    before = record(inputs=[rows("data", (0, 20), pieces=pieces)])
    pieces = [piece(0, 0, 10, "1"), piece(1, 10, 20, "3"), piece(2, 20, 30, "4")]
    after = record(inputs=[rows("data", (0, 30), pieces=pieces)])
    ranges, content = difference(before, after, None).data
    assert str(ranges) == "rows: [0, 20) -> [0, 30)"
    assert content.what == "bytes of rows [10, 20) of shard 1"


def test_recipes_and_configurations_are_compared_by_the_settings_alone():
    before = record(inputs=[file("a", "recipe", "1"), file("b", "model", "1")])
    after = record(inputs=[file("a", "recipe", "2"), file("b", "model", "2")])
    assert [change.what for change in difference(before, after, None).data] == ["b"]


@pytest.fixture
def repository_of_code(tmp_path):
    """Return a git repository with one file, and the root that a run would record of it."""

    def git(*arguments):
        names = ["-c", "user.name=x", "-c", "user.email=x"]
        command = ["git", "-C", str(tmp_path), *names, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "train.py").write_text("one = 1\ntwo = 2\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "x")
    commit = git("rev-parse", "HEAD")
    return tmp_path, CodeRoot("memtrain", commit, True, {"train.py": "sha256:1"})


@pytest.mark.slow
def test_code_that_was_removed_and_not_committed_is_shown_line_by_line(repository_of_code):
    folder, root = repository_of_code
    (folder / "train.py").unlink()
    after = CodeRoot("memtrain", root.commit, False, {})
    (change,) = difference(record(code=[root]), record(code=[after]), folder).code
    assert (change.what, change.after) == ("train.py", None)
    assert change.lines == ["@@ -1,2 +0,0 @@", "-one = 1", "-two = 2"]


@pytest.mark.slow
def test_code_that_has_changed_again_since_is_named_without_its_lines(repository_of_code):
    folder, root = repository_of_code
    (folder / "train.py").write_text("one = 3\n")
    after = CodeRoot("memtrain", root.commit, False, {"train.py": "sha256:2"})
    (change,) = difference(record(code=[root]), record(code=[after]), folder).code
    assert (change.what, change.lines) == ("train.py", [])


@pytest.mark.slow
@pytest.mark.parametrize("was_committed", [True, False])
def test_lines_are_shown_only_if_the_earlier_run_used_the_committed_file(
    repository_of_code, was_committed
):
    folder, root = repository_of_code
    used = digest_of_file(folder / "train.py") if was_committed else "sha256:3"
    before = CodeRoot("memtrain", root.commit, False, {"train.py": used})
    (folder / "train.py").write_text("one = 1\n")
    now = {"train.py": digest_of_file(folder / "train.py")}
    after = CodeRoot("memtrain", root.commit, False, now)
    (change,) = difference(record(code=[before]), record(code=[after]), folder).code
    assert change.lines[1:] == (["-two = 2"] if was_committed else [])
