"""A stream of tokens, or of the bytes of a text, in files of the user's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memtrain.config.files import FieldSettings, FilesSettings
from memtrain.config.parsing import parse_settings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.data.file_headers import FileHeaders
from memtrain.data.files_description import describe_files
from memtrain.frontdoor.array_files import (
    ENDINGS,
    array_groups,
    files_of,
    named_path,
)
from memtrain.frontdoor.array_rows import sampled_rows, values_of_rows

#: Endings of packed files, whose bytes are no text.
_PACKED = (".gz", ".zip", ".zst", ".xz", ".bz2")

#: Elements of a window, and the fewest windows that the longest of these needs.
_LENGTHS = (256, 128, 64, 32, 16, 8)
_FEWEST_WINDOWS = {256: 50_000, 128: 500}
_FEWEST_OF_ALL = 50


@dataclass(frozen=True)
class TokenStream:
    """A stream, and the windows that are proposed for it.

    Attributes:
        path: what the configuration calls its files.
        dtype: the type of the values of raw files; None where the files say it.
        is_text: whether it is the bytes of a text.
        tokens: elements of all files.
        length: elements of a window.
        windows: windows in all files.
        different: different tokens among those that were looked at.
    """

    path: str | list[str]
    dtype: str | None
    is_text: bool
    tokens: int
    length: int
    windows: int
    different: int


def is_token_stream(paths: Sequence[str]) -> bool:
    """Return whether a path holds one stream of whole numbers and nothing else, such as tokens."""
    if len(paths) > 1:
        return False
    try:
        groups = array_groups(paths)
    except UserError:
        return False  # It is told where the files are read.
    if len(groups) > 1 or groups[0].headers.names():
        return False
    return groups[0].shape == () and groups[0].dtype.kind in "iu"


def find_stream(paths: Sequence[str], dtype: str | None) -> TokenStream:
    """Return a stream with the windows that fit its length.

    Args:
        paths: files, folders, patterns.
        dtype: the type of the values of raw files; None where the files say it, and for text.

    Raises:
        UserError: where the files are none, or too short.
    """
    files = list(files_of(paths))
    is_text = dtype is None and all(Path(file).suffix not in ENDINGS for file in files)
    packed = [file for file in files if Path(file).suffix in _PACKED]
    if packed and is_text:
        raise UserError(f"{packed[0]}: it is packed, and its bytes are no text. Unpack it.")
    path, dtype = named_path(paths, files), "uint8" if is_text else dtype
    settings: dict[str, Any] = {"path": path} | ({"dtype": dtype} if dtype else {})
    headers = FileHeaders.read("--tokens", parse_settings(FieldSettings, settings))
    _check_elements(headers)
    lengths = [sum(one.elements for one in arrays.values()) for arrays in headers.arrays]
    length = _length_for(lengths)
    windows = {"length": length, "target": "next"}
    layout, _ = describe_files(parse_settings(FilesSettings, settings | {"windows": windows}))
    rows = sampled_rows(layout.rows, sum(kind.itemsize for kind in layout.fields.values()))
    different = len(np.unique(values_of_rows(layout, "target", rows)))
    if different == 1:
        raise UserError(
            f"{files[0]}: it has the same value wherever it was looked at, so that there is "
            "nothing to learn. Name another file, or another --dtype."
        )
    return TokenStream(
        path,
        dtype,
        is_text,
        sum(lengths),
        length,
        layout.rows,
        different,
    )


def _check_elements(headers: FileHeaders) -> None:
    """Refuse files of several arrays, of fractions, or of more than a number an element."""
    arrays = headers.arrays[0]
    (found, *others) = arrays.values()
    if others or found.shape or found.dtype.names or found.dtype.kind not in "iu":
        raise UserError(
            f"{headers.paths[0]}: tokens are whole numbers one behind the other, and it holds "
            f"elements of {found.dtype}{f' of shape {found.shape}' if found.shape else ''}. Leave "
            "out --tokens, or name another file."
        )


def _length_for(lengths: Sequence[int]) -> int:
    """Return how long windows are, by the elements of each file.

    Raises:
        UserError: where there are too few.
    """
    for length in _LENGTHS:
        # A window takes one element more, which is the target of its last one.
        windows = sum((one - 1) // length for one in lengths if one)
        if windows >= _FEWEST_WINDOWS.get(length, _FEWEST_OF_ALL):
            return length
    raise UserError(
        f"--tokens: the files have {counted(sum(lengths), 'element')} in all, too few to train, "
        f"validate and evaluate a model. Use {_FEWEST_OF_ALL * _LENGTHS[-1]:,} or more."
    )
