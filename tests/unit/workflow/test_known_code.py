"""Code that an earlier job has parsed is not parsed again, and never taken for other code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memtrain.workflow import code_reader, known_code

pytestmark = pytest.mark.slow

SCRIPTS = Path(code_reader.__file__).parents[2]

PROGRAM = """
import ast, json, sys
from pathlib import Path

parsed = []
parse = ast.parse

def count(text, name, *more):
    parsed.append(name)
    return parse(text, name, *more)

ast.parse = count
from memtrain.workflow.known_code import known_code
from memtrain.workflow.reachable_code import CodeFile, SearchPath, reachable_code
from memtrain.workflow.result_code import code_digest

folder = Path(sys.argv[1])
start = [CodeFile("start.py", folder / "start.py")]
with known_code(Path(sys.argv[2])):
    code = reachable_code(start, SearchPath([folder]))
digest = code_digest(code)
print(json.dumps([digest, [file.name for file in code], [Path(one).name for one in parsed]]))
"""


@pytest.fixture
def find(tmp_path):
    """Return a function by which a new process finds the code that ``start.py`` reaches.

    It gives the digest of the code, the names of its files, and those of the files that it parsed.
    """
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "start.py").write_text("import one, two\n")
    (folder / "one.py").write_text("A = 1\n")
    (folder / "two.py").write_text("B = 2  # two\n")
    (folder / "three.py").write_text("C = 3\n")

    def find(known=tmp_path / "state/code.json"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder, known],
            env={"PYTHONPATH": str(SCRIPTS)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return json.loads(done.stdout)

    find.folder, find.known = folder, tmp_path / "state/code.json"
    return find


def test_a_later_job_parses_what_has_changed_alone(find):
    digest, names, parsed = find()
    assert sorted(parsed) == sorted(names) == ["one.py", "start.py", "two.py"]
    assert find() == [digest, names, []]
    content = (find.folder / "one.py").read_text()
    (find.folder / "one.py").write_text("import three\n")
    other = find()
    assert other[0] != digest
    assert (sorted(other[1]), sorted(other[2])) == (
        ["one.py", "start.py", "three.py", "two.py"],
        ["one.py", "three.py"],
    )
    (find.folder / "one.py").write_text(content)
    assert find() == [digest, names, []]
    (find.folder / "two.py").write_text("B = 2\n")
    assert find() == [digest, names, ["two.py"]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"contents"', '"content"'),
        lambda text: text.replace("sha256:0", "sha256:1").replace("sha256:a", "sha256:b"),
    ],
)
def test_a_damaged_file_is_written_anew(find, damage):
    first = find()
    good = find.known.read_text()
    find.known.write_text(damage(good))
    assert find() == first
    assert find.known.read_text() == good


def test_what_other_code_has_found_is_not_taken(find):
    first = find()
    content = json.loads(find.known.read_text())
    del content["checksum"]
    content["found_by"] = "sha256:" + 64 * "0"
    for note in content["contents"].values():
        note[0] = "sha256:" + 64 * "1"
    known_code.checked_json.write(find.known, content)
    assert find() == first


def test_a_folder_that_cannot_be_written_is_no_mistake(find):
    first = find()
    assert find(Path("/proc/state/code.json")) == first
