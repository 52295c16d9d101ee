"""Shards of tokens with a header of 256 words; damage is named."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.data.formats.file_formats import read_arrays
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats.found import damage, elements_of, found_or_refused, only_array

#: https://github.com/karpathy/llm.c/blob/master/dev/data/data_common.py, HEADERS_INFO
KINDS = {"gpt-2": (20240520, 1, "<u2"), "llama-3": (20240801, 7, "<u4")}


def write(path, tokens, kind="gpt-2"):
    """Write tokens as write_datafile of llm.c does; modded-nanogpt reads its gpt-2 files."""
    magic, version, dtype = KINDS[kind]
    header = np.zeros(256, "<i4")
    header[:3] = magic, version, len(tokens)
    path.write_bytes(header.tobytes() + np.asarray(tokens, dtype).tobytes())
    return path


@given(st.lists(st.integers(0, 65535), max_size=9), st.sampled_from(list(KINDS)))
@settings(deadline=None)
def test_tokens_are_found(tmp_path_factory, tokens, kind):
    path = write(tmp_path_factory.mktemp("tokens") / "x.bin", tokens, kind)
    found = only_array(path)
    assert found.dtype == np.dtype(KINDS[kind][2])
    assert elements_of(path, found).tolist() == tokens
    stated = RawFormat(np.dtype(KINDS[kind][2]), (), 1024)
    assert only_array(path, raw=stated).parts == found.parts


def test_the_header_is_not_read_as_tokens(tmp_path):
    path = write(tmp_path / "x.bin", [1, 2])
    with pytest.raises(UserError, match="is a file of the format modded_nanogpt"):
        read_arrays(path, raw=RawFormat(np.dtype("<u2")), format="raw")
    with pytest.raises(UserError, match="header_bytes 1024, but 512 is stated"):
        read_arrays(path, raw=RawFormat(np.dtype("<u2"), (), 512))


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (0, 7, "byte 0 has the number 7, where .* has 20240520 or 20240801"),
        (4, 2, "byte 4 has version 2 of the format; only 1 is read"),
        (8, -1, "byte 8 has -1 tokens"),
        (8, 3, "3 tokens of 2 bytes after a header of 1,024 make 1,030 bytes, .* cut short"),
        (8, 1, "the file has 1,028; it is larger than that"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path, place, value, told):
    path = write(tmp_path / "x.bin", [1, 2])
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, place, value)
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.bin: .*{told}"):
        read_arrays(path, format="modded_nanogpt")


@given(st.data())
@settings(deadline=None)
def test_damage_is_refused_or_leaves_the_tokens(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("damaged") / "x.bin", [1, 2, 3, 4])
    damage(path, data, 12)
    found = found_or_refused(path, format="modded_nanogpt")
    if found is not None:
        assert elements_of(path, found).tobytes() == path.read_bytes()[1024:]
