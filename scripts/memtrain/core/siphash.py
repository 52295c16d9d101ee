"""SipHash-2-4 of many messages at once: digests of 64 bits that nobody can make without the key.

Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; https://www.aumasson.jp/siphash/.
"""

import numpy as np

#: Size of a key.
KEY_BYTES = 16

#: SipHash takes the length in bytes, modulo 256, into the last word.
_WORDS_PER_LENGTH = 32

#: Rows whose digests are computed together: their state stays in the cache of a processor.
_ROWS_AT_ONCE = 1 << 13

_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def siphash(key: bytes, words: np.ndarray) -> np.ndarray:
    """Return the digest of each row of words.

    Args:
        key: ``KEY_BYTES`` bytes.
        words: uint64 (rows, words of a message); a message is its words, little-endian.

    Returns:
        uint64 (rows,).
    """
    digests = np.empty(len(words), np.uint64)
    for start in range(0, len(words), _ROWS_AT_ONCE):
        end = start + _ROWS_AT_ONCE
        digests[start:end] = _digests(key, words[start:end])
    return digests


def _digests(key: bytes, words: np.ndarray) -> np.ndarray:
    halves = np.frombuffer(key, "<u8")
    state = [
        np.full(len(words), np.uint64(start) ^ halves[number % 2])
        for number, start in enumerate(_START)
    ]
    length = words.shape[1] % _WORDS_PER_LENGTH * 8
    last = np.full(len(words), length << 56, np.uint64)
    for word in (*words.T, last):
        state[3] ^= word
        _mix(state, rounds=2)
        state[0] ^= word
    state[2] ^= np.uint64(0xFF)
    _mix(state, rounds=4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _mix(state: list[np.ndarray], rounds: int) -> None:
    a, b, c, d = state
    for _ in range(rounds):
        a += b
        b = _rotated(b, 13)
        b ^= a
        a = _rotated(a, 32)
        c += d
        d = _rotated(d, 16)
        d ^= c
        a += d
        d = _rotated(d, 21)
        d ^= a
        c += b
        b = _rotated(b, 17)
        b ^= c
        c = _rotated(c, 32)
    state[:] = a, b, c, d


def _rotated(words: np.ndarray, bits: int) -> np.ndarray:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
