"""The mounted file systems, as the kernel lists them in ``/proc/self/mountinfo``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of the table.

    Attributes:
        root: the folder within the file system that is mounted: "/", or deeper for a bind mount.
        mount_point: where it is mounted.
        kind: "ext4", "nfs4", "cgroup2", ...
        options: of the file system as a whole; for cgroups of version 1, their controllers.
    """

    root: str
    mount_point: str
    kind: str
    options: frozenset[str]


def parse_mounts(mountinfo: str) -> Iterator[Mount]:
    """Yield the mounts in the order of the table; lines of any other form are passed over."""
    for line in mountinfo.split("\n"):
        place, separator, file_system = line.partition(" - ")
        place, file_system = place.split(" "), file_system.split(" ")
        if separator and len(place) >= 6:
            yield Mount(
                root=_unescaped(place[3]),
                mount_point=_unescaped(place[4]),
                kind=file_system[0],
                options=frozenset(file_system[-1].split(",")),
            )


def is_below(path: str, folder: str) -> bool:
    """Return whether an absolute path is the folder itself or lies anywhere below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unescaped(field: str) -> str:
    """Decode blanks, line ends and backslashes, which the kernel writes as octal numbers."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), field)
