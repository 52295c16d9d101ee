"""Random streams that are looked up, not consumed: one for every (seed, purpose, index, part).

Philox is counter-based (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a key
and a counter name a stream, so the numbers of chunk 9,000 cost as much as those of chunk 0, and no
two streams share a number by accident, as they do when seeds are added up.
"""

import hashlib

import numpy as np


def stream(seed: int, purpose: str, index: int = 0, part: int = 0) -> np.random.Generator:
    """Return the generator of one stream.

    Args:
        seed: 0 or more, below 2**64.
        purpose: what the numbers are for; another purpose is another stream.
        index: a chunk, an epoch, ...; streams of neighbouring indices lie 2**128 draws apart.
        part: of what the index names: a shuffle buffer of an epoch, ...
    """
    words = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    key = np.array([seed, int.from_bytes(words, "little")], dtype=np.uint64)
    counter = np.array([0, 0, index, part], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def torch_seed(seed: int, purpose: str) -> int:
    """Return a seed for one of PyTorch's generators, 0 or more, below 2**62.

    Args:
        seed: of the recipe.
        purpose: what the numbers are for; another purpose is another seed.
    """
    return int(stream(seed, purpose).integers(1 << 62))
