"""Ids of runs: UUIDs that grow with time, so that records sort by the start of their runs."""

import os
import time
import uuid


def new_uuid() -> str:
    """Return a new UUID of version 7: milliseconds, then random bits (RFC 9562, section 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10))
    number = (milliseconds & (2**48 - 1)) << 80 | random_bits
    # The version and the variant have the places of six random bits.
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=number))
