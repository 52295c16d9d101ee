"""A path stands for one file, for the files of a folder, or for the matches of a pattern."""

import subprocess
import sys

import pytest

from memtrain.core.errors import UserError
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.source_files import ENDINGS, source_files


def test_a_folder_stands_for_its_tables_and_a_pattern_for_its_matches(tmp_path):
    for name in ("b.csv", "a.npy", "notes.md", ".hidden.csv", "deeper/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def names(path):
        return [file.relative_to(tmp_path).as_posix() for file in source_files(str(path))]

    assert names(tmp_path) == ["a.npy", "b.csv"]
    assert names(tmp_path / "*.csv") == ["b.csv"]
    assert names(tmp_path / "**/*.csv") == ["b.csv", "deeper/c.csv"]
    assert names(tmp_path / "b.csv") == ["b.csv"]


def test_a_name_with_the_characters_of_a_pattern_is_a_name_first(tmp_path):
    (tmp_path / "a[1].csv").touch()
    assert source_files(str(tmp_path / "a[1].csv")) == [tmp_path / "a[1].csv"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.csv", r"none\.csv: no such file.*known endings are \.npy"),
        ("*.csv", "no such file"),
        ("empty", "no file in this folder"),
        ("x.xlsx", "x.xlsx: files of this kind are not read; known endings are"),
        ("x.*", "x.xlsx: files of this kind are not read; known endings are"),
    ],
)
def test_paths_that_stand_for_no_file(tmp_path, path, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(UserError, match=message):
        source_files(str(tmp_path / path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_known_ending_can_be_opened(tmp_path, ending):
    path = tmp_path / f"empty{ending.upper()}"
    path.touch()
    with pytest.raises(UserError, match="empty"):
        open_tables(source_files(str(path)))


@pytest.mark.slow
def test_files_are_found_without_importing_arrow(repository):
    program = "import memtrain.data.tables.source_files, sys; sys.exit('pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=repository / "scripts", check=True)
