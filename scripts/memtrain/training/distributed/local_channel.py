"""Exchanges tensors with another process of the same machine, through memory that both map.

A process writes its message into memory of its own, sends the other one byte through a socket,
waits for a byte of the other, and reads what that one has written. The kernel orders what was
written before the byte and what is read after it, on every kind of processor. A process that waits
sleeps, and its core is free for others. If the other process dies, its socket closes, and the
waiting one wakes up.

Every process has two areas, which take turns. When it writes to one of them again, it has the byte
that the other sent after the message in between, and so after it had read this one.
"""

import mmap
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

#: Bytes of an area. Longer messages go in several pieces, so that they need no more memory, and
#: stay in the caches on their way.
AREA_BYTES = 2 << 20

#: Every part of a message begins at a multiple of this.
_ALIGNMENT_BYTES = 64

_BELL = b"!"


@dataclass(frozen=True)
class _Piece:
    """A piece of a part of a message.

    Attributes:
        part: number of the part.
        start, end: bytes of the part.
        place: where they lie in the area.
    """

    part: int
    start: int
    end: int
    place: int


class SharedMemory:
    """Two areas of memory that another process can map; they are gone with both processes.

    Raises:
        OSError: if there is not as much memory.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("memtrain", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(self.descriptor, 0, 2 * AREA_BYTES)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the descriptor; what is mapped stays mapped."""
        os.close(self.descriptor)


class LocalChannel:
    """Exchanges messages with one other process. Both own an end of a socket, and memory.

    Args:
        connection: this process's end of the socket; the channel closes it.
        memory: this process's memory; the channel closes its descriptor.
        timeout_seconds: how long to wait for the other process.

    Raises:
        OSError: if the other process is lost.
    """

    def __init__(self, connection: socket.socket, memory: SharedMemory, timeout_seconds: int):
        self._connection = connection
        limit = struct.pack("ll", timeout_seconds, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._own = _areas(memory.descriptor)
        socket.send_fds(connection, [_BELL], [memory.descriptor])
        memory.close()
        bell, descriptors, *_ = socket.recv_fds(connection, 1, 1)
        _check(bell)
        (descriptor,) = descriptors
        self._theirs = _areas(descriptor)
        os.close(descriptor)
        self._turn = 0

    def exchange(self, parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Send a message of several tensors, and return that of the other process.

        Args:
            parts: tensors on the CPU whose shapes and dtypes are the same in both processes.

        Raises:
            OSError: if the other process is lost.
        """
        received = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in parts]
        ours, theirs = ([_bytes(part) for part in side] for side in (parts, received))
        for pieces in _areas_of_message(tuple(map(len, ours))):
            own, their = self._own[self._turn], self._theirs[self._turn]
            for one in pieces:
                end = one.place + one.end - one.start
                own[one.place : end] = ours[one.part][one.start : one.end]
            self._connection.send(_BELL)
            _check(self._connection.recv(1))
            for one in pieces:
                end = one.place + one.end - one.start
                theirs[one.part][one.start : one.end] = their[one.place : end]
            self._turn ^= 1
        return received

    def close(self) -> None:
        """Close the socket, by which the other process learns that this one is gone."""
        self._connection.close()


@lru_cache(maxsize=8)
def _areas_of_message(sizes: tuple[int, ...]) -> list[list[_Piece]]:
    """Return the pieces of every area that a message fills, one area after the other.

    Args:
        sizes: bytes of every part of the message.
    """
    areas: list[list[_Piece]] = [[]]
    place = 0
    for part, size in enumerate(sizes):
        start = 0
        while start < size:
            if place == AREA_BYTES:
                areas.append([])
                place = 0
            end = min(size, start + AREA_BYTES - place)
            areas[-1].append(_Piece(part, start, end, place))
            place += -(-(end - start) // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
            start = end
    return areas


def _areas(descriptor: int) -> list[np.ndarray]:
    """Map shared memory, and return its two areas, uint8 (bytes,) each."""
    mapped = np.frombuffer(mmap.mmap(descriptor, 2 * AREA_BYTES), np.uint8)
    return [mapped[:AREA_BYTES], mapped[AREA_BYTES:]]


def _bytes(part: torch.Tensor) -> np.ndarray:
    """Return the bytes of a tensor, uint8 (bytes,)."""
    return part.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def _check(bell: bytes) -> None:
    if not bell:
        raise ConnectionResetError("its connection is closed")
