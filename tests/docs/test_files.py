"""The reference of files names exactly what a run leaves."""

import re
from fnmatch import fnmatch


def described(repository):
    """Return the patterns in the first column of the table."""
    text = (repository / "docs/reference/files.md").read_text()
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    return [name.replace("<split>", "*") + ("*" if name.endswith("/") else "") for name in names]


def test_every_file_of_a_run_is_described(repository, default_run):
    results = default_run / "results/mock"
    files = [str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()]
    unknown = [
        file for file in files if not any(fnmatch(file, name) for name in described(repository))
    ]
    assert unknown == []


def test_every_described_file_is_there_after_a_run(repository, default_run):
    results = default_run / "results/mock"
    # Trainings that have ended leave no state, no tracker is on, and nothing else is predicted.
    # Generated rows have no groups, and lie in one file.
    absent = ("state/", "tracking/", "predictions/", "groups.npy", "rows.json", "borders.npy")
    expected = [name for name in described(repository) if not name.startswith(absent)]
    assert [name for name in expected if not any(results.glob(name))] == []


def test_files_that_a_cell_lists_in_words_are_there(repository, default_run):
    text = (repository / "docs/reference/files.md").read_text()
    split = default_run / "results/mock/splits/most"
    (figures,) = re.findall(r"figures/` \| (.*) \|", text)
    listed = re.findall(r"`([\w.]+)`", figures)
    assert sorted(listed) == sorted(path.name for path in (split / "figures").iterdir())
