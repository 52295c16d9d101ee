"""A file that a reader of a format looks into: its size, its beginning, and bytes of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from memtrain.core.errors import UserError
from memtrain.system.file_content import open_file

#: Bytes that are read at once when a file is opened: the header of most files.
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class OpenedFile:
    """A file that is open for reading.

    Attributes:
        path: its path as the user gave it, for messages.
        descriptor: its descriptor.
        size: its size in bytes.
        head: its first bytes: 4,096, or all of a smaller file.
    """

    path: str
    descriptor: int
    size: int
    head: bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file; fewer where the file ends before.

        Raises:
            OSError: where the file cannot be read.
        """
        if offset + length <= len(self.head):
            return self.head[offset : offset + length]
        content = bytearray()
        while len(content) < length:
            more = os.pread(self.descriptor, length - len(content), offset + len(content))
            if not more:
                break
            content += more
        return bytes(content)


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[OpenedFile]:
    """Open a file, and read its beginning.

    Raises:
        UserError: here and in the ``with`` block, where the file is missing or cannot be read.
    """
    try:
        with open_file(path) as file:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
            head = os.pread(descriptor, _HEAD_BYTES, 0)
            yield OpenedFile(os.fspath(path), descriptor, size, head)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: this file cannot be read ({reason}).") from None


def check_file_size(file: OpenedFile, expected: int, content: str) -> None:
    """Refuse a file that is not as large as its header says.

    Args:
        file: the file.
        expected: the size that it must have, in bytes.
        content: what makes this size, for the message: "3 elements of 4 bytes after a header of 8".

    Raises:
        UserError: with both sizes.
    """
    if file.size != expected:
        state = "cut short" if file.size < expected else "larger than that"
        raise UserError(
            f"{file.path}: {content} make {expected:,} bytes, but the file has {file.size:,}; it "
            f"is {state}. Write it anew."
        )
