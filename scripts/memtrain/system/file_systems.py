"""What kind of file system a file lies on: a disk of this machine, or one across a network."""

import os
from dataclasses import dataclass

from memtrain.system.mount_table import is_below, parse_mounts

_MOUNT_TABLE = "/proc/self/mountinfo"

_REMOTE_KINDS = {"9p", "afs", "cifs", "coda", "dvs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
_PARALLEL_KINDS = {"beegfs", "ceph", "gpfs", "lustre", "orangefs", "panfs", "pvfs2", "wekafs"}
_CLUSTER_KINDS = {"gfs2", "glusterfs", "ocfs2"}


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system.

    Attributes:
        kind: as the kernel names it, "ext4" or "nfs4"; "unknown" where it does not say.
        mount_point: the folder that it is mounted on.
        is_network: whether reading may go across a network, so that many small reads are slow.
    """

    kind: str
    mount_point: str
    is_network: bool


_UNKNOWN = FileSystem("unknown", "/", is_network=False)


def file_system_of(path: str | os.PathLike) -> FileSystem:
    """Return the file system that a path lies on, or would lie on once it is made.

    Links are followed. Where the kernel keeps no table of mounts, the answer is a local file system
    of an unknown kind.
    """
    try:
        with open(_MOUNT_TABLE, "rb") as table:
            mountinfo = os.fsdecode(table.read())
    except OSError:
        return _UNKNOWN
    return find_file_system(os.path.realpath(path), mountinfo)


def find_file_system(path: str, mountinfo: str) -> FileSystem:
    """Find a path in a table of mounts.

    Args:
        path: absolute and without links.
        mountinfo: the text of ``/proc/self/mountinfo``.
    """
    found = _UNKNOWN
    for mount in parse_mounts(mountinfo):
        # Of two mounts on one folder the later one covers the earlier one, as automounts do.
        as_deep = len(mount.mount_point) >= len(found.mount_point)
        if as_deep and is_below(path, mount.mount_point):
            found = FileSystem(mount.kind, mount.mount_point, _is_network(mount.kind))
    return found


def _is_network(kind: str) -> bool:
    # Behind FUSE may be anything, and often is a network: sshfs, object stores, clients of parallel
    # file systems. Only "fuseblk" is said to be a block device of this machine.
    behind_fuse = kind == "fuse" or kind.startswith("fuse.")
    return behind_fuse or kind in _REMOTE_KINDS | _PARALLEL_KINDS | _CLUSTER_KINDS
