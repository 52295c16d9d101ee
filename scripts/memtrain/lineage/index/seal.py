"""A checksum inside of a SQLite file, by which any later change of the file is noticed.

The checksum stands in the header, in the place of the application id, which SQLite leaves alone
(https://www.sqlite.org/fileformat.html#application_id). It is that of the whole file with zeros in
this place.
"""

import os
import zlib
from typing import BinaryIO

from memtrain.system.file_content import open_file

#: The place of the application id in the header.
_START, _END = 68, 72

_BYTES_AT_ONCE = 1 << 20


def seal(file: BinaryIO) -> None:
    """Write the checksum of a SQLite file, which is open for reading and writing, into it."""
    checksum = _checksum(file)
    file.seek(_START)
    file.write(checksum)
    file.flush()


def is_sealed(path: str | os.PathLike) -> bool:
    """Return whether a file can be read and is as it was when it was sealed."""
    try:
        with open_file(path) as file:
            checksum = _checksum(file)
            file.seek(_START)
            return file.read(_END - _START) == checksum
    except OSError:
        return False


def _checksum(file: BinaryIO) -> bytes:
    file.seek(0)
    first = file.read(_END)
    checksum = zlib.crc32(first[:_START] + bytes(_END - _START))
    while block := file.read(_BYTES_AT_ONCE):
        checksum = zlib.crc32(block, checksum)
    return checksum.to_bytes(4, "big")
