"""Shards of tokens with a header of 256 words: modded-nanogpt's and llm.c's ``.bin`` files.

The words are int32, little-endian: a magic number, a version, the number of tokens, and zeros. The
tokens follow: uint16 of GPT-2 in both projects, uint32 of Llama 3 in llm.c.

- https://github.com/KellerJordan/modded-nanogpt/blob/master/train_gpt.py (``_load_data_shard``)
- https://github.com/karpathy/llm.c/blob/master/dev/data/data_common.py (``write_datafile``)
"""

import numpy as np

from memtrain.core.errors import UserError
from memtrain.data.formats.found_array import FoundArray, one_part
from memtrain.data.formats.opened_file import OpenedFile, check_file_size

_HEADER_WORDS = 256
_HEADER_BYTES = 4 * _HEADER_WORDS

#: Version and dtype of the tokens, by the magic number.
_KINDS: dict[int, tuple[int, np.dtype]] = {
    20240520: (1, np.dtype("<u2")),
    20240801: (7, np.dtype("<u4")),
}

#: What the files begin with.
MAGICS = tuple(magic.to_bytes(4, "little") for magic in _KINDS)


def read_token_shard(file: OpenedFile) -> FoundArray:
    """Find the tokens of a shard.

    Raises:
        UserError: where the file does not begin with a magic number of these formats, has another
            version, or another number of tokens than its header says.
    """
    if len(file.head) < _HEADER_BYTES:
        raise UserError(
            f"{file.path}: the file has {file.size:,} bytes, fewer than the {_HEADER_BYTES:,} of "
            "the header of modded_nanogpt. Write it anew."
        )
    magic, version, tokens = map(int, np.frombuffer(file.head, "<i4", 3))
    if magic not in _KINDS:
        known = " or ".join(map(str, _KINDS))
        raise UserError(
            f"{file.path}: byte 0 has the number {magic}, where a file of modded_nanogpt has "
            f"{known}. State another format, or write the file anew."
        )
    known_version, dtype = _KINDS[magic]
    if version != known_version:
        raise UserError(
            f"{file.path}: byte 4 has version {version} of the format; only {known_version} is "
            "read. Write the file in that version."
        )
    if tokens < 0:
        raise UserError(f"{file.path}: byte 8 has {tokens} tokens. Write the file anew.")
    check_file_size(
        file,
        _HEADER_BYTES + tokens * dtype.itemsize,
        f"{tokens:,} tokens of {dtype.itemsize} bytes after a header of {_HEADER_BYTES:,}",
    )
    return FoundArray(dtype, (), one_part(_HEADER_BYTES, tokens))
