"""Random permutations that are computed number by number, so that none has to be held in memory.

A Feistel network permutes all numbers of some bits: one half of the bits is changed by a function
of the other half, in turns (Luby and Rackoff, "How to construct pseudorandom permutations from
pseudorandom functions", 1988). A number that leaves the range is permuted again until it is back in
it, which makes a permutation of the range (Black and Rogaway, "Ciphers with arbitrary finite
domains", 2002).
"""

import numpy as np

_ROUNDS = 12

# Mixing function and constants of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
# number generators", 2014). It is a permutation of all numbers of 64 bits.
_STEP = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_ALL_BITS = 2**64 - 1


def mixed(numbers: np.ndarray, key: int) -> np.ndarray:
    """Return numbers that look random; different ones stay different.

    Args:
        numbers: uint64, any shape.
        key: number from 0 to 2**64 - 1; another key makes other numbers.
    """
    found = numbers + np.uint64((key + _STEP) & _ALL_BITS)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(_FACTORS[0])
    found = (found ^ (found >> np.uint64(27))) * np.uint64(_FACTORS[1])
    return found ^ (found >> np.uint64(31))


def permuted(numbers: np.ndarray, sizes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Return where permutations put numbers: each number has a range and a permutation of its own.

    Args:
        numbers: uint64 (numbers,), each from 0 to its size - 1.
        sizes: sizes of their ranges, uint64 (numbers,), up to 2**63.
        keys: keys of their permutations, uint64 (numbers,).

    Returns:
        uint64 (numbers,).
    """
    # A double of 53 bits may round up to the next power of two; one bit more does no harm.
    bits = np.frexp((sizes - np.uint64(1)).astype(np.float64))[1].astype(np.uint64)
    found, outside = numbers.copy(), np.arange(len(numbers))
    while len(outside):
        found[outside] = _permuted_bits(found[outside], bits[outside], keys[outside])
        outside = outside[found[outside] >= sizes[outside]]
    return found


def _permuted_bits(numbers: np.ndarray, bits: np.ndarray, keys: np.ndarray) -> np.ndarray:
    low_bits = (bits + np.uint64(1)) >> np.uint64(1)
    one = np.uint64(1)
    low_mask = (one << low_bits) - one
    high_mask = (one << (bits - low_bits)) - one
    low, high = numbers & low_mask, numbers >> low_bits
    for turn in range(_ROUNDS):
        key = mixed(keys, turn)
        if turn % 2:
            high ^= mixed(low ^ key, turn) & high_mask
        else:
            low ^= mixed(high ^ key, turn) & low_mask
    return (high << low_bits) | low
