"""Lets the C library keep memory that was freed, rather than give it back and ask for it again.

What comes from the system is cleared first, page by page: tensors that are made and freed in every
step would be cleared as often as they are computed.
"""

import ctypes

#: Names of settings of ``mallopt(3)`` in the GNU C library's ``malloc.h``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: The largest block that the GNU C library would come to keep by itself on a 64-bit system
#: (``DEFAULT_MMAP_THRESHOLD_MAX``).
_LARGEST_BY_ITSELF = 32 << 20

#: The largest block that is kept. Blocks share the memory that is kept, and the larger they are,
#: the more of it may lie between them unused.
_LARGEST_KEPT = 128 << 20

#: What a block may be larger than its tensor: a header, and what aligns it.
_OVERHEAD = 4 << 10

#: ``mallopt`` takes a C int.
_MOST = (1 << 31) - 1


def keep_freed_memory(largest: int, total: int) -> bool:
    """Let this process keep memory that it frees, for later blocks.

    Args:
        largest: bytes of the largest block that is made again and again; blocks above 128 MiB are
            given back in any case.
        total: most bytes of free memory that are kept.

    Returns:
        whether the C library can do so; only the GNU C library can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    threshold = min(max(largest + _OVERHEAD, _LARGEST_BY_ITSELF), _LARGEST_KEPT)
    # The library ceases to adapt either of them once the other one is set.
    return bool(mallopt(_MMAP_THRESHOLD, threshold) and mallopt(_TRIM_THRESHOLD, min(total, _MOST)))
