"""Megatron's datasets: elements, documents and sequences, from either file; damage is named."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.core.errors import UserError
from memtrain.data.formats import megatron
from memtrain.data.formats.file_formats import read_arrays
from memtrain.data.formats.megatron import read_sequences
from memtrain.data.formats.raw import RawFormat
from tests.unit.data.formats.found import damage, elements_of, found_or_refused, only_array

#: https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/core/datasets/indexed_dataset.py, DType
CODES = dict(zip(["u1", "i1", "<i2", "<i4", "<i8", "<f8", "<f4", "<u2"], range(1, 9), strict=True))


def write(folder, documents, dtype="<u2", modes=False, name="corpus"):
    """Write documents of sequences as IndexedDatasetBuilder and _IndexWriter of megatron-core do.

    Layout: https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/core/datasets/indexed_dataset.py
    """
    sequences = [np.asarray(sequence, dtype) for document in documents for sequence in document]
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    pointers = (np.cumsum(lengths) - lengths) * np.dtype(dtype).itemsize
    borders = np.cumsum([0, *(len(document) for document in documents)])
    (folder / f"{name}.bin").write_bytes(b"".join(one.tobytes() for one in sequences))
    (folder / f"{name}.idx").write_bytes(
        struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, CODES[dtype], len(sequences), len(borders))
        + lengths.astype("<i4").tobytes()
        + pointers.astype("<i8").tobytes()
        + borders.astype("<i8").tobytes()
        + bytes(len(sequences) * modes)
    )
    return folder / f"{name}.bin", folder / f"{name}.idx"


DOCUMENTS = [[[1, 2, 3], [4]], [[5, 6]], [], [[], [7, 8, 9, 10]]]

contents = st.lists(
    st.lists(st.lists(st.integers(0, 100), max_size=4), max_size=3), min_size=0, max_size=5
)


@given(contents, st.sampled_from(list(CODES)), st.booleans(), st.booleans())
@settings(deadline=None)
def test_documents_are_found(tmp_path_factory, documents, dtype, modes, by_index):
    files = write(tmp_path_factory.mktemp("megatron"), documents, dtype, modes)
    # An empty .bin is no file with a format of its own, but its index says what it is.
    found = only_array(files[by_index])
    assert found.dtype == np.dtype(dtype)
    assert found.path == str(files[0])
    assert found.borders.dtype == np.int64
    values = elements_of(found.path, found)
    assert len(found.borders) == len(documents) + 1
    for number, document in enumerate(documents):
        expected = np.concatenate([np.empty(0, dtype), *(np.asarray(s, dtype) for s in document)])
        begin, end = found.borders[number : number + 2]
        assert np.array_equal(values[begin:end], expected)
    sequences = [sequence for document in documents for sequence in document]
    assert read_sequences(files[1]).tolist() == [0, *np.cumsum([len(s) for s in sequences])]


def test_many_pointers_are_read_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(megatron, "_POINTERS_AT_ONCE", 2)
    files = write(tmp_path, DOCUMENTS)
    assert only_array(files[0]).parts == ((0, 10),)


def test_sequences_may_lie_apart(tmp_path):
    values, index = write(tmp_path, DOCUMENTS)
    content = bytearray(index.read_bytes())
    # The third sequence, [5, 6], is written at the end of the values instead.
    struct.pack_into("<q", content, 34 + 4 * 5 + 8 * 2, 20)
    index.write_bytes(content)
    with values.open("ab") as file:
        file.write(np.array([50, 60], "<u2").tobytes())
    found = only_array(index)
    assert found.parts == ((0, 4), (20, 2), (12, 4))
    assert elements_of(values, found).tolist() == [1, 2, 3, 4, 50, 60, 7, 8, 9, 10]


def test_a_bin_without_an_index_is_raw(tmp_path):
    values, index = write(tmp_path, DOCUMENTS)
    index.unlink()
    assert only_array(values, raw=RawFormat(np.dtype("<u2"))).borders is None
    with pytest.raises(UserError, match=r"corpus\.idx: there is no such file"):
        read_arrays(values, format="megatron")
    values.rename(tmp_path / "corpus.tokens")
    with pytest.raises(UserError, match=r"are named \.bin and \.idx"):
        read_arrays(tmp_path / "corpus.tokens", format="megatron")


def test_what_is_stated_is_compared(tmp_path):
    values, _ = write(tmp_path, DOCUMENTS)
    assert only_array(values, raw=RawFormat(np.dtype("<u2"))).borders is not None
    with pytest.raises(UserError, match="dtype uint16, but int32 is stated"):
        read_arrays(values, raw=RawFormat(np.dtype("<i4")))
    found = only_array(values, raw=RawFormat(np.dtype("<i4")), format="raw")
    assert (found.elements, found.borders) == (5, None)


@pytest.mark.parametrize(
    ("place", "kind", "value", "told"),
    [
        (0, "<B", 0, "this is not an index of Megatron's"),
        (9, "<Q", 2, "byte 9 has version 2"),
        (17, "<B", 9, "byte 17 has the code 9"),
        (18, "<Q", 4, "an index of 4 sequences and 5 document indices"),
        (18, "<Q", 1 << 63, "sequences and 5 document indices"),
        (26, "<Q", 4, "an index of 5 sequences and 4 document indices"),
        (34, "<i", -1, "sequence 0 has the length -1"),
        (34 + 4, "<i", 1000, "sequence 1, 1,000 elements of 2 bytes at byte 6, lies outside"),
        (34 + 20, "<q", -2, "sequence 0, 3 elements of 2 bytes at byte -2, lies outside"),
        (34 + 20 + 32, "<q", 14, "sequence 4, 4 elements of 2 bytes at byte 14, lies outside"),
        (34 + 60, "<q", 1, "rise from sequence 0 to 5, but go from 1 to 5"),
        (34 + 60 + 8, "<q", 4, "but go from 0 to 5, and fall on the way"),
        (34 + 60 + 32, "<q", 4, "but go from 0 to 4"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path, place, kind, value, told):
    _, index = write(tmp_path, DOCUMENTS)
    content = bytearray(index.read_bytes())
    struct.pack_into(kind, content, place, value)
    index.write_bytes(content)
    with pytest.raises(UserError, match=rf"corpus\.idx: .*{told}"):
        read_arrays(index, format="megatron")


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("which", [0, 1])
def test_files_of_another_size_are_refused(tmp_path, change, which):
    files = write(tmp_path, DOCUMENTS)
    content = files[which].read_bytes()
    files[which].write_bytes(content[:change] if change < 0 else content + b"x")
    for path in files:
        with pytest.raises(UserError, match=str(files[which])):
            read_arrays(path)


@pytest.mark.slow
@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damage_is_refused_or_leaves_a_consistent_dataset(tmp_path_factory, data):
    values, index = write(tmp_path_factory.mktemp("damaged"), DOCUMENTS)
    damage(index, data)
    found = found_or_refused(index, format="megatron")
    if found is not None:
        size = values.stat().st_size
        assert all(at >= 0 and at + n * found.element_bytes <= size for at, n in found.parts)
        assert found.borders[0] == 0
        assert found.borders[-1] == found.elements
        assert (np.diff(found.borders) >= 0).all()
