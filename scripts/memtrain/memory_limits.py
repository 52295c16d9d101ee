"""How much memory a process may still take: what the machine and its memory cgroups leave free."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.byte_sizes import format_bytes
from memtrain.mount_table import parse_mounts

#: The files of a cgroup's limits, use, and cached file pages that would be given up, in versions.
_V1 = (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
_V2 = (("memory.max", "memory.high"), "memory.current", "inactive_file")


@dataclass(frozen=True)
class AvailableMemory:
    """Memory that can be taken.

    Attributes:
        bytes: how much.
        source: what sets the limit, for people: "the memory cgroup /job_7 (limit 4 GiB, ...)".
    """

    bytes: int
    source: str


def available_memory(root: str | os.PathLike = "/") -> AvailableMemory:
    """Return what this process can take, the least that machine, cgroups and ulimit allow.

    Cached pages of files count as free: the kernel gives them up when memory is asked for.

    Args:
        root: the folder that holds ``proc`` and ``sys``.
    """
    root = Path(root)
    found = [*_of_machine(root), *_of_address_space(root), *_of_cgroups(root)]
    return min(found, key=lambda memory: memory.bytes, default=AvailableMemory(1 << 30, "a guess"))


def _of_machine(root: Path) -> Iterator[AvailableMemory]:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if match:
        size = int(match[1]) << 10
        yield AvailableMemory(size, f"the machine ({format_bytes(size)} available)")


def _of_address_space(root: Path) -> Iterator[AvailableMemory]:
    match = re.search(r"^Max address space\s+(\d+)", _text(root / "proc/self/limits"), re.MULTILINE)
    used = re.search(r"^VmSize:\s+(\d+) kB", _text(root / "proc/self/status"), re.MULTILINE)
    if match and used:
        left = max(0, int(match[1]) - (int(used[1]) << 10))
        limit = format_bytes(int(match[1]))
        yield AvailableMemory(left, f"the limit of the address space (ulimit -v, {limit})")


def _of_cgroups(root: Path) -> Iterator[AvailableMemory]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            kind, names = "cgroup2", _V2
        elif "memory" in controllers.split(","):
            kind, names = "cgroup", _V1
        else:
            continue
        for folder, top in _folders(root, kind, path):
            yield from _of_cgroup(folder, top, names)


def _folders(root: Path, kind: str, path: str) -> Iterator[tuple[Path, Path]]:
    """Yield the folders of a cgroup and of those around it, each with the topmost one."""
    for mount in parse_mounts(_text(root / "proc/self/mountinfo")):
        if mount.kind != kind or (kind == "cgroup" and "memory" not in mount.options):
            continue
        top = root / mount.mount_point.lstrip("/")
        # In a container, the path may begin above what is mounted.
        below = os.path.relpath(path, mount.root)
        folder = top / below if not below.startswith("..") and (top / below).is_dir() else top
        while True:
            yield folder, top
            if folder == top:
                return
            folder = folder.parent


def _of_cgroup(folder: Path, top: Path, names: tuple) -> Iterator[AvailableMemory]:
    limits, usage, inactive = names
    used = _text(folder / usage).strip()
    match = re.search(rf"^{inactive} (\d+)", _text(folder / "memory.stat"), re.MULTILINE)
    reclaimable = int(match[1]) if match else 0
    for name in limits:
        limit = _text(folder / name).strip()
        # Version 1 writes a number near 2**63 where version 2 writes "max".
        if used and limit.isdigit() and int(limit) < 1 << 60:
            taken = max(0, int(used) - reclaimable)
            path = "/" + os.path.relpath(folder, top).lstrip(".")
            yield AvailableMemory(
                max(0, int(limit) - taken),
                f"the memory cgroup {path} (limit {format_bytes(int(limit))}, "
                f"{format_bytes(taken)} in use)",
            )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
