"""The checks of the pages find what is wrong with a page."""

import pytest

from tests.docs.named_things import wrong_names
from tests.docs.pages import Marker, read_page
from tests.docs.project import Project
from tests.docs.transcripts import matches, read_calls

PAGE = """\
Say `make run`, [here](there.md).

<!-- test: setup: echo x > file -->
<!-- test: numbers vary -->

```console
$ cat file
x
$ echo 3 \\
  4
5 6
```

```python
# folder/module.py
import absent
```
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    return read_page(tmp_path / "page.md")


def test_a_page_is_read(page):
    setup, console, python = page.steps
    assert setup == Marker("setup", "echo x > file")
    assert (console.language, console.line, console.has("numbers vary")) == ("console", 7, True)
    assert (python.file_name, python.markers) == ("folder/module.py", ())
    assert page.inline_commands == [(1, "make run")]
    assert page.links == [(1, "there.md")]


def test_a_comment_that_is_nearly_a_marker_is_an_error(tmp_path):
    (tmp_path / "page.md").write_text("<!-- test: notrun -->\n")
    with pytest.raises(ValueError, match="no marker"):
        read_page(tmp_path / "page.md")


def test_a_page_is_followed(page, tmp_path):
    project = Project(tmp_path, page)
    project.follow()
    assert [call.command for call, _ in project.outputs] == ["cat file", "echo 3 \\\n  4"]
    (failure,) = project.failures
    assert "No module named 'absent'" in failure


def test_outputs_are_compared():
    assert matches("a\n...\nz 1", "a\nb\nc\nz 1")
    assert not matches("a\n...\nz 1", "a\nb\nc\nz 2")
    assert matches("z 1.5", "z    2", numbers_vary=True)
    assert matches(
        "made 2026-01-01T00:00:00Z of sha256:0123456789ab",
        "made 2027-02-03T11:11:11Z of sha256:ba9876543210",
    )


def test_a_folder_that_was_entered_stays_entered(tmp_path):
    (tmp_path / "page.md").write_text(
        "```console\n$ mkdir new && cd new\n$ basename $PWD\nnew\n```\n"
    )
    project = Project(tmp_path, read_page(tmp_path / "page.md"))
    project.follow()
    assert project.failures == []


def test_calls_without_prompts():
    calls = read_calls("# a comment\nmake run\nls \\\n  -l\n", 5, has_prompts=False)
    assert [(call.line, call.command) for call in calls] == [(6, "make run"), (7, "ls \\\n  -l")]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make nothing", "no target nothing"),
        ("cd x && make nothing", "no target nothing"),
        ("snakemake --coresx 2", "no option --coresx"),
        ("python scripts/status.py --twice", "no option --twice"),
        ("python scripts/lineage.py explains x", "no command explains"),
        ("python scripts/lineage.py verify --quickly", "no option --quickly"),
        ("python scripts/nothing.py", "no script nothing"),
        ("python -m benchmarks nothing", "no benchmark nothing"),
        ("python -m campaigns nothing", "no campaign nothing"),
        ("snakemake --profile profiles/nothing", "no file profiles/nothing"),
        ("pip install -r envs/nothing.txt", "no file envs/nothing.txt"),
    ],
)
def test_a_name_of_nothing_is_found(command, problem):
    assert problem in "\n".join(wrong_names(command))


@pytest.mark.parametrize(
    "command",
    [
        "make run CORES=2 && python scripts/status.py --once",
        "snakemake --cores all --set-resources 'train:launcher=torchrun'",
        "python scripts/lineage.py export rocrate .",
        "A=1 python -m benchmarks loading  # measures",
        "python -m campaigns kills --minutes 1",
    ],
)
def test_names_that_exist_are_left_alone(command):
    assert wrong_names(command) == []
