"""Codes of words: numbers of 64 bits that depend on the text of a word alone.

A word has the same code in every file and beside any other words, so that a word more or less
changes the code of none. Among the 10,000 words that a category may have, two share a code with a
probability of 3e-12; a collision is refused where the words are collected.
"""

import hashlib

import numpy as np
import pyarrow as pa

from memtrain.data.tables.cell_values import to_numpy

#: The code of a missing word.
MISSING_WORD = 0


def code_of_word(word: str) -> int:
    """Return the code of a word: 64 bits of its BLAKE2b digest, never ``MISSING_WORD``."""
    digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def signed_code(word: str) -> int:
    """Return the code of a word as an integer with a sign, of the same 64 bits."""
    code = code_of_word(word)
    return code - (1 << 64) if code >> 63 else code


def codes_of_words(words: pa.Array) -> np.ndarray:
    """Return the code of every word, uint64 (rows,); ``MISSING_WORD`` for null.

    Args:
        words: text, (rows,).
    """
    encoded = words.dictionary_encode()
    codes = [code_of_word(word) for word in encoded.dictionary.to_pylist()]
    table = np.array([MISSING_WORD, *codes], np.uint64)
    return table[to_numpy(encoded.indices.fill_null(-1)) + 1]
