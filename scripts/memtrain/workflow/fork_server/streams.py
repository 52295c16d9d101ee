"""Opens standard input, output and error anew, as Python opens them at its start."""

import io
import os
import sys

_STREAMS = ("stdin", "stdout", "stderr")


def open_streams() -> None:
    """Replace the standard streams by ones for the files that have their numbers now.

    What a stream can do (seek, wait for a line of a terminal) was asked of the former file.
    Encodings, and whether there are buffers, stay.
    """
    for number, name in enumerate(_STREAMS):
        former = getattr(sys, name)
        if not isinstance(former, io.TextIOWrapper):
            continue
        has_buffer = number == 0 or not former.write_through
        stream = io.TextIOWrapper(
            _binary(number, has_buffer=has_buffer),
            encoding=former.encoding,
            errors=former.errors,
            newline="\n",
            line_buffering=has_buffer and (number == 2 or os.isatty(number)),
            write_through=former.write_through,
        )
        stream.mode = "r" if number == 0 else "w"  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _binary(number: int, *, has_buffer: bool) -> io.BufferedReader | io.BufferedWriter | io.FileIO:
    raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
    raw.name = f"<{_STREAMS[number]}>"
    if not has_buffer:
        return raw
    return io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
