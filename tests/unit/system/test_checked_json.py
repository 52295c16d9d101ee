"""JSON files that carry the digest of their own text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.system import checked_json

CONTENT = {"b": [1, 2.5, None], "a": {"ä": "\u2028"}, "c": [{"d": "checksum"}]}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(content=st.dictionaries(st.text(max_size=4).filter("checksum".__ne__), VALUES, max_size=4))
def test_what_is_written_reads_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "x.json"
    checked_json.write(path, content)
    assert checked_json.read(path, "make") == content
    assert json.loads(path.read_text()).keys() == content.keys() | {"checksum"}


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_every_flipped_byte_is_noticed(tmp_path, flip):
    path = tmp_path / "x.json"
    checked_json.write(path, CONTENT)
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"x\.json: "):
            checked_json.read(path, "make")


def test_a_file_without_a_checksum_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match=r"x\.json: it has no checksum, .* Run make again"):
        checked_json.read(tmp_path / "x.json", "make")
