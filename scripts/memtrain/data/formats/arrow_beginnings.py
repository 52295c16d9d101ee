"""What Arrow files and streams begin with, told without pyarrow, which takes long to import.

https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
"""

from memtrain.data.formats.opened_file import OpenedFile

_FILE_MAGIC = b"ARROW1\x00\x00"

#: What the first message of a stream begins with: a mark, before the length of its metadata.
_CONTINUATION = b"\xff\xff\xff\xff"


def is_arrow_file(file: OpenedFile) -> bool:
    """Return whether a file begins as Arrow's file format does."""
    return file.head.startswith(_FILE_MAGIC)


def looks_like_arrow(file: OpenedFile) -> bool:
    """Return whether a file begins as an Arrow file, or as a stream whose first message fits."""
    length = int.from_bytes(file.head[4:8], "little", signed=True)
    is_stream = file.head.startswith(_CONTINUATION) and length % 8 == 0
    return is_arrow_file(file) or (is_stream and 0 < length <= file.size - 8)
