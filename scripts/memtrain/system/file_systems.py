"""Finds the mounted file system that holds a path, and whether reads from it cross a network."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

# psutil.disk_partitions is not used: it does not say which folder of a file system is mounted. In a
# container, only that folder tells the memory cgroup of a process (see memory.py).
_MOUNT_TABLE = "/proc/self/mountinfo"

_ESCAPED_CHARACTER = re.compile(r"\\([0-7]{3})")

_REMOTE_KINDS = {"9p", "afs", "cifs", "coda", "dvs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
_PARALLEL_KINDS = {"beegfs", "ceph", "gpfs", "lustre", "orangefs", "panfs", "pvfs2", "wekafs"}
_CLUSTER_KINDS = {"gfs2", "glusterfs", "ocfs2"}
_KINDS_IN_MEMORY = {"ramfs", "tmpfs"}


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system.

    Attributes:
        kind: the kernel's name for the kind of file system, such as "ext4" or "nfs4"; "unknown"
            where the kernel tells none.
        mount_point: the folder on which it is mounted.
        is_network: whether reads may cross a network, which makes many small reads slow.
    """

    kind: str
    mount_point: str
    is_network: bool

    @property
    def is_in_memory(self) -> bool:
        """Whether the files lie in memory, on no disk."""
        return self.kind in _KINDS_IN_MEMORY


@dataclass(frozen=True)
class Mount:
    """One line of the kernel's table of mounts.

    Attributes:
        root: the folder of the file system that is mounted: "/", or a folder below for a bind
            mount.
        mount_point: the folder on which it is mounted.
        kind: the kernel's name for the file system: "ext4", "nfs4", "cgroup2", ...
        options: the options of the whole file system; for cgroups of version 1, their controllers.
    """

    root: str
    mount_point: str
    kind: str
    options: frozenset[str]


_UNKNOWN = FileSystem("unknown", "/", is_network=False)


def file_system_of(path: str | os.PathLike[str]) -> FileSystem:
    """Return the file system that holds a path, or that would hold it once it is made.

    Links are followed. On a system without ``/proc``, the answer is a local file system of an
    unknown kind.
    """
    try:
        with open(_MOUNT_TABLE, "rb") as table:
            mountinfo = os.fsdecode(table.read())
    except OSError:
        return _UNKNOWN
    return find_file_system(os.path.realpath(path), mountinfo)


def find_file_system(path: str, mountinfo: str) -> FileSystem:
    """Return the file system of a path according to a table of mounts.

    Args:
        path: an absolute path without links.
        mountinfo: the text of ``/proc/self/mountinfo``.
    """
    found = _UNKNOWN
    for mount in parse_mounts(mountinfo):
        # Of two mounts on one folder, the later covers the earlier. Automounts are made that way.
        is_as_deep = len(mount.mount_point) >= len(found.mount_point)
        if is_as_deep and is_below(path, mount.mount_point):
            found = FileSystem(mount.kind, mount.mount_point, _is_network(mount.kind))
    return found


def parse_mounts(mountinfo: str) -> Iterator[Mount]:
    """Yield the mounts of a table, in its order; lines of another form are skipped.

    The format: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html

    Args:
        mountinfo: the text of ``/proc/self/mountinfo``.
    """
    for line in mountinfo.split("\n"):
        place, separator, file_system = line.partition(" - ")
        place_fields = place.split(" ")
        file_system_fields = file_system.split(" ")
        if separator and len(place_fields) >= 6:
            yield Mount(
                root=_unescaped(place_fields[3]),
                mount_point=_unescaped(place_fields[4]),
                kind=file_system_fields[0],
                options=frozenset(file_system_fields[-1].split(",")),
            )


def is_below(path: str, folder: str) -> bool:
    """Return whether an absolute path is the folder itself or lies anywhere below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unescaped(field: str) -> str:
    """Decode blanks, line ends and backslashes, which the kernel writes as octal numbers."""
    return _ESCAPED_CHARACTER.sub(lambda match: chr(int(match[1], 8)), field)


def _is_network(kind: str) -> bool:
    # Anything may be behind FUSE, and often it is a network: sshfs, object stores, the clients of
    # parallel file systems. "fuseblk" alone is always a block device of this machine.
    is_behind_fuse = kind == "fuse" or kind.startswith("fuse.")
    return is_behind_fuse or kind in _REMOTE_KINDS | _PARALLEL_KINDS | _CLUSTER_KINDS
