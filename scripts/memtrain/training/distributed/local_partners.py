"""Finds out whether another process runs on this machine, and opens a channel to it."""

import os
import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import torch

from memtrain.training.distributed.local_channel import LocalChannel, SharedMemory

#: Bytes of the note by which processes tell each other where they are.
_NOTE_BYTES = 256

#: Seconds that a connection, which the other process has opened already, may take.
_SECONDS_TO_ACCEPT = 60.0

#: Sends a tensor to the other process, and returns the tensor of that process.
Swap = Callable[[torch.Tensor], torch.Tensor]


def open_channel(swap: Swap, *, listens: bool, timeout_seconds: int) -> LocalChannel | None:
    """Return a channel to another process, which calls this too; None if they cannot have one.

    They can if both run under one kernel and see the same sockets: on one machine, and there in the
    same container, unless containers share the network of the machine. Both processes get a channel
    or none of them does.

    Args:
        swap: exchanges tensors with the other process, slowly.
        listens: whether this process waits for the connection of the other; true in one of them.
        timeout_seconds: how long one process waits for a message of the other.

    Raises:
        OSError: if the other process is lost.
    """
    with ExitStack() as stack:
        listener = _listener(stack) if listens else None
        own_name = listener.getsockname() if listener else b""
        place = _place()
        their_place, _, their_name = _swapped(swap, place + b"\n" + own_name).partition(b"\n")
        if place != their_place or not (own_name or their_name):
            return None
        memory = _memory()
        connection = None if listens else _connected(their_name)
        is_ready = memory is not None and (listens or connection is not None)
        are_ready = _swapped(swap, b"yes" if is_ready else b"no") == b"yes" and is_ready
        if not are_ready or memory is None:
            if memory is not None:
                memory.close()
            if connection is not None:
                connection.close()
            return None
        if listener is not None:
            connection = _accepted(listener)
        assert connection is not None
        return LocalChannel(connection, memory, timeout_seconds)


def _place() -> bytes:
    """Return what processes have in common that see the same sockets: kernel and network."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/net')} {os.geteuid()}".encode()
    except OSError:
        return os.urandom(16).hex().encode()


def _listener(stack: ExitStack) -> socket.socket | None:
    """Return a socket that listens at a name of the kernel's choice, in no folder."""
    with suppress(OSError):
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind("")
        listener.listen()
        listener.settimeout(_SECONDS_TO_ACCEPT)
        return listener
    return None


def _memory() -> SharedMemory | None:
    with suppress(OSError):
        return SharedMemory()
    return None


def _connected(name: bytes) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(name)
    except OSError:
        connection.close()
        return None
    if _is_of_this_user(connection):
        return connection
    connection.close()
    return None


def _accepted(listener: socket.socket) -> socket.socket:
    """Return the connection of a process of this user."""
    while True:
        connection, _ = listener.accept()
        if _is_of_this_user(connection):
            connection.settimeout(None)
            return connection
        connection.close()


def _is_of_this_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end belongs to the same user, as the kernel says."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", found)
    return user == os.geteuid()


def _swapped(swap: Swap, note: bytes) -> bytes:
    """Send a note to the other process, and return its note."""
    sent = torch.frombuffer(bytearray(note.ljust(_NOTE_BYTES, b"\0")), dtype=torch.uint8)
    # A name of a socket begins with a zero, and none ends with one.
    return bytes(swap(sent).tolist()).rstrip(b"\0")
