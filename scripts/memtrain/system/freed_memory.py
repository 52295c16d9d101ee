"""Lets the C library keep memory that was freed, rather than give it back and ask for it again.

What comes from the system is cleared first, page by page: tensors that are made and freed in every
step would be cleared as often as they are computed.
"""

import ctypes

#: Names of settings of ``mallopt(3)`` in the GNU C library's ``malloc.h``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3

#: The largest block that is kept, which is the largest that the GNU C library would come to keep by
#: itself on a 64-bit system (``DEFAULT_MMAP_THRESHOLD_MAX``). Larger ones, if they were kept, would
#: leave gaps that no other one fits: layers of 36 MiB took up to 180 MiB more (measured).
_LARGEST_KEPT = 32 << 20

#: ``mallopt`` takes a C int.
_MOST = (1 << 31) - 1


def keep_freed_memory(total: int) -> bool:
    """Let this process keep memory that it frees, for later blocks of up to 32 MiB.

    Args:
        total: most bytes of free memory that are kept.

    Returns:
        whether the C library can do so; only the GNU C library can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # The library ceases to adapt either of them once the other one is set.
    return bool(
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, min(total, _MOST))
    )
