"""Independent random streams, one for every (seed, purpose, index, part).

Philox is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011): a key and a counter identify a stream. The numbers of chunk 9,000 therefore cost as much as
those of chunk 0, and no two streams overlap by accident, as they may when seeds are added up.
"""

import hashlib

import numpy as np


def random_stream(seed: int, purpose: str, index: int = 0, part: int = 0) -> np.random.Generator:
    """Return the generator of one stream.

    Args:
        seed: number from 0 to 2**64 - 1.
        purpose: name of the use of the numbers, like "bootstrap"; every purpose has streams of its
            own.
        index: number of a chunk, an epoch or the like. The streams of neighbouring indices lie
            2**128 draws apart.
        part: number of a part of the chunk or epoch, such as a shuffle buffer of an epoch.
    """
    words = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    key = np.array([seed, int.from_bytes(words, "little")], dtype=np.uint64)
    counter = np.array([0, 0, index, part], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def torch_seed(seed: int, purpose: str) -> int:
    """Return a seed for one of PyTorch's generators, a number from 0 to 2**62 - 1.

    Args:
        seed: seed of the recipe.
        purpose: name of the use of the seed; every purpose has a seed of its own.
    """
    return int(random_stream(seed, purpose).integers(1 << 62))
