"""The warm Python of tests gives Snakemake what it makes of each file of rules, edited or not."""

import json
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: Parses the files of a copy with and without what was kept; says of each file whether it gives the
#: same, and whether what was kept was taken.
PROGRAM = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
import snakemake.api
from snakemake import parser, workflow
from snakemake.sourcecache import LocalSourceFile
from tests.kept_snakefiles import keep_snakefiles

files = SimpleNamespace(sourcecache=SimpleNamespace(open=lambda file: open(file.path)))
opened, read = [], parser.Snakefile.__init__

def note(self, path, *others, **named):
    opened.append(path.path)
    read(self, path, *others, **named)

parser.Snakefile.__init__ = note
keep_snakefiles(Path(sys.argv[1]))
found = {}
for path in sorted(Path(sys.argv[2]).rglob("*")):
    if path.is_file():
        opened.clear()
        lines, plain = {}, {}
        kept = workflow.parse(LocalSourceFile(str(path)), files, lines, rulecount=7)
        is_kept = not opened
        same = kept == parser.parse(LocalSourceFile(str(path)), files, plain, rulecount=7)
        found[path.name] = [same and lines == plain, is_kept]
print(json.dumps(found))
"""


def test_files_of_the_same_text_are_not_parsed_again(repository, tmp_path):
    shutil.copytree(repository / "rules", tmp_path / "copy/rules")
    shutil.copy(repository / "Snakefile", tmp_path / "copy")
    with open(tmp_path / "copy/rules/training.smk", "a") as file:
        file.write("# edited\n")
    program = [sys.executable, "-c", PROGRAM, repository, tmp_path / "copy"]
    found = json.loads(subprocess.check_output(program, cwd=repository))
    assert len(found) > 10
    assert found.pop("training.smk") == [True, False]
    assert set(map(tuple, found.values())) == {(True, True)}
