"""Files are opened for reading; what is no file is refused at once."""

import os

import pytest

from memtrain.core.errors import UserError
from memtrain.data.record_file import read_record_layout
from memtrain.recipes.model_file import check_weights, read_origin
from memtrain.system.digests import digest_of_file
from memtrain.system.file_content import open_file, read_content_of_file


@pytest.fixture(params=["pipe", "folder", "device"])
def no_file(request, tmp_path):
    path = tmp_path / "x"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
    return path


def test_the_content_of_a_file_is_read(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with open_file(tmp_path / "x") as file:
        assert file.read() == b"abc"
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "y")


@pytest.mark.parametrize("read", [open_file, digest_of_file])
def test_what_is_no_file_is_refused_at_once(no_file, read):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="this is a"):
        read(no_file)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("read", [read_content_of_file, check_weights, read_record_layout])
def test_readers_name_what_is_no_file(no_file, read):
    with pytest.raises(UserError, match=f"{no_file}: .*this is a"):
        read(no_file)


def test_a_pipe_in_the_place_of_a_model_says_nothing(no_file):
    assert read_origin(no_file).made_from == {}
