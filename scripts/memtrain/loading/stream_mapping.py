"""Maps the files of a stream, one after the other, into one range of addresses.

An element of the stream then lies at a place of one array, whichever file it is in, so that rows of
a thousand files are gathered by one call. Between the files lie pages of zeros that take no memory.
``mmap(2)`` is called through ctypes, since Python's ``mmap`` keeps a descriptor for every file.
"""

import os
from functools import cached_property
from math import gcd

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.padded_rows import spare_bytes
from memtrain.data.streams.open_files import OpenFiles, file_identity
from memtrain.data.streams.row_addresses import Consecutive, Ragged, Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.pages import PAGE_BYTES, MappedRange, advise

_MOST_BYTES = 1 << 45


class StreamMapping:
    """The files of a field, each mapped when its rows are needed first.

    Args:
        field: the field.
        advice: how the kernel is told that the files will be read, such as ``MADV_RANDOM``.

    Attributes:
        content: uint8 (bytes,), the whole range. Writing to it changes no file.
    """

    def __init__(self, field: StoredField, advice: int):
        places = _file_places(field)
        assert places is not None, "can_be_mapped tells"
        self._file_places, range_bytes = places
        self._stream = field.stream
        self._range = MappedRange(range_bytes)
        self._advice = advice
        self._is_mapped = field.stream.sizes == 0
        self._identities: dict[int, tuple[int, ...]] = {}
        self.content = np.asarray(self._range)

    def address(self, file: int, place: int) -> int:
        """Return the address of a byte of a file."""
        return self._range.address + int(self._file_places[file]) + place

    @cached_property
    def part_places(self) -> np.ndarray:
        """The place of element 0 of the stream, were it in each part: int64 (parts,).

        Element e, which lies in part p, is at ``part_places[p] + e`` of ``elements``.
        """
        stream = self._stream
        starts = self._file_places[stream.part_files] + stream.part_offsets
        return (starts - self._grid_start) // stream.element_bytes - stream.firsts[:-1]

    @property
    def elements(self) -> np.ndarray:
        """The bytes from the first place on, uint8 (bytes,): element i begins at i elements."""
        return self.content[self._grid_start :]

    @property
    def _grid_start(self) -> int:
        stream = self._stream
        # From the lowest part on, so that the rows of a single part are their own places.
        return int((self._file_places[stream.part_files] + stream.part_offsets).min())

    def map_files(self, numbers: np.ndarray, files: OpenFiles) -> None:
        """Map files that are not mapped yet; call this before their bytes are touched.

        Args:
            numbers: int64 (files,), numbers of files, each once.
            files: the files, which open and check each that has to be mapped.

        Raises:
            UserError: where a file is not as it was described.
        """
        for file in numbers[~self._is_mapped[numbers]].tolist():
            place, size = int(self._file_places[file]), int(self._stream.sizes[file])
            with files.descriptor(file) as descriptor:
                self._identities[file] = file_identity(os.fstat(descriptor))
                try:
                    self._range.map_file(place, size, descriptor)
                except OSError as error:
                    raise _not_mapped(self._stream.paths[file], error) from None
            advise(self._advice, self._range.address + place, size)
            self._is_mapped[file] = True

    def forget_changed(self) -> None:
        """Map files again, when they are needed, that were written, replaced or removed since."""
        for file, identity in list(self._identities.items()):
            try:
                is_same = file_identity(os.stat(self._stream.paths[file])) == identity
            except OSError:
                is_same = False
            if not is_same:
                del self._identities[file]
                self._is_mapped[file] = False


def _not_mapped(path: str, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        f"{path}: this file cannot be mapped into memory ({reason}); the kernel allows a process "
        "vm.max_map_count mappings, and some file systems allow fewer or none. Set `loading: "
        "{mapped_files: N}` to a smaller number, or `reader: pread`, which maps none."
    )


def can_be_mapped(field: StoredField) -> bool:
    """Return whether the files of a field can be mapped onto one grid of elements."""
    return _lie_in_parts(field) and _file_places(field) is not None


def _lie_in_parts(field: StoredField) -> bool:
    """Return whether no row begins in one part of the stream and ends in another."""
    addresses, borders = field.addresses, field.stream.firsts[1:-1]
    if isinstance(addresses, Windows):
        return bool(np.isin(borders, addresses.borders).all())
    if isinstance(addresses, Ragged):
        offsets = addresses.offsets
        rows = np.searchsorted(offsets, borders).clip(max=len(offsets) - 1)
        # Rows need not begin with the first part, nor end with the last.
        is_crossed = (borders > offsets[0]) & (borders < offsets[-1]) & (offsets[rows] != borders)
        return not is_crossed.any()
    return isinstance(addresses, Consecutive)


def _file_places(field: StoredField) -> tuple[np.ndarray, int] | None:
    """Return where each file begins in the range, int64 (files,), and the bytes of the range.

    The first element of every part lies a whole number of elements after that of the first part.
    None where there are no such places, or they take too many addresses.
    """
    stream = field.stream
    element, step = stream.element_bytes, PAGE_BYTES
    if element == 0 or not len(stream.part_files):
        return None
    common = gcd(element, step)
    pages_per_cycle = element // common
    inverse = pow(step // common, -1, pages_per_cycle) if pages_per_cycle > 1 else 0
    first_parts = np.searchsorted(stream.part_files, np.arange(len(stream.paths)))
    offsets = stream.part_offsets.tolist()
    places: list[int] = []
    page, origin = 0, None
    # Chunks of rows that vary in length reach behind their ends.
    gap = spare_bytes(element) if field.is_ragged else 0
    for file, (size, part) in enumerate(zip(stream.sizes.tolist(), first_parts, strict=True)):
        has_part = part < len(offsets) and stream.part_files[part] == file
        if has_part:
            origin = offsets[part] if origin is None else origin
            # The page is the first from here on at which the part begins on the grid.
            missing = (origin - offsets[part] - page * step) % element
            if missing % common:
                return None
            page += missing // common * inverse % pages_per_cycle
        places.append(page * step)
        page += -(-(size + gap) // step)
    file_places = np.array(places, np.int64)
    starts = file_places[stream.part_files] + stream.part_offsets
    # Rows are gathered with more bytes than the last of them has.
    range_bytes = (page + 1) * step + (gap or field.row_bytes)
    is_on_grid = not ((starts - starts[0]) % element).any()
    return (file_places, range_bytes) if is_on_grid and range_bytes < _MOST_BYTES else None
