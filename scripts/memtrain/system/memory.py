"""Finds out how much memory this process may still take, and the most that it has taken."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from memtrain.core.byte_sizes import format_bytes
from memtrain.system.file_systems import Mount, is_below, parse_mounts


@dataclass(frozen=True)
class AvailableMemory:
    """Memory that can still be taken.

    Attributes:
        bytes: the size; 0 where a limit is reached.
        source: what sets the limit, in words for a message: "the memory cgroup /slurm/job_7 (limit
            4 GiB, 1.2 GiB in use)".
    """

    bytes: int
    source: str


@dataclass(frozen=True)
class CgroupVersion:
    """Names of files and keys in one of the two versions of cgroups.

    Attributes:
        mount_kind: the kind of file system that holds the folders of cgroups.
        limits: the files that hold the limits of a cgroup; the lowest limit counts.
        usage: the file that holds the memory in use, including cached pages of files.
        cached: the keys of ``memory.stat`` that count cached pages of files, including those of all
            cgroups below.
    """

    mount_kind: str
    limits: tuple[str, ...]
    usage: str
    cached: tuple[str, ...]


V1 = CgroupVersion(
    mount_kind="cgroup",
    limits=("memory.limit_in_bytes",),
    usage="memory.usage_in_bytes",
    cached=("total_inactive_file", "total_active_file"),
)
V2 = CgroupVersion(
    mount_kind="cgroup2",
    limits=("memory.max", "memory.high"),
    usage="memory.current",
    cached=("inactive_file", "active_file"),
)


@dataclass(frozen=True)
class MemoryCgroup:
    """A memory cgroup that this process belongs to.

    Attributes:
        version: the version of cgroups.
        folder: the folder of its files.
        name: the path of the cgroup, as the kernel reports it.
    """

    version: CgroupVersion
    folder: Path
    name: str


def available_memory(root: str | os.PathLike[str] = "/") -> AvailableMemory:
    """Return the memory that this process may still take: the least that any limit leaves.

    The limits are the memory of the machine, the memory cgroups and ``ulimit -v``.

    Cached pages of files count as free, as in the kernel's own ``MemAvailable``: the kernel gives
    them up as soon as a process needs memory. If they counted as used, the rows of a large file
    would be "in use" as soon as they were read.

    Args:
        root: the folder in which the ``proc`` and ``sys`` of the cgroups lie.
    """
    cgroups = (_left_by_cgroup(cgroup) for cgroup in memory_cgroups(root))
    left = [
        _left_by_machine(),
        *_left_by_address_space(),
        *(left for left in cgroups if left is not None),
    ]
    return min(left, key=lambda memory: memory.bytes)


def peak_memory_bytes() -> int:
    """Return the largest resident memory that this process has had so far, in bytes."""
    # psutil does not tell the peak, and getrusage tells at least what the parent process had.
    peak_kib = _number(r"VmHWM:\s+(\d+) kB", _text(Path("/proc/self/status")))
    if peak_kib is None:
        import resource  # missing on Windows

        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_kib * 1024


def memory_cgroups(root: str | os.PathLike[str] = "/") -> Iterator[MemoryCgroup]:
    """Yield the memory cgroup of this process and all that contain it, from the innermost outwards.

    Args:
        root: the folder in which ``proc`` and ``sys`` lie.
    """
    root = Path(root)
    mounts = list(parse_mounts(_text(root / "proc/self/mountinfo")))
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            tops = [mount for mount in mounts if mount.kind == V2.mount_kind]
            yield from _upwards(V2, root, tops, name)
        elif "memory" in controllers.split(","):
            mounts_v1 = [mount for mount in mounts if mount.kind == V1.mount_kind]
            tops = [mount for mount in mounts_v1 if "memory" in mount.options]
            yield from _upwards(V1, root, tops, name)


def _upwards(
    version: CgroupVersion, root: Path, tops: list[Mount], name: str
) -> Iterator[MemoryCgroup]:
    """Yield a cgroup and all that contain it, up to the topmost that is mounted."""
    for top in tops:
        folder = root / top.mount_point.lstrip("/")
        innermost = _path_below(top, name)
        for path in (innermost, *innermost.parents):
            if (folder / path).is_dir():
                cgroup_name = os.path.normpath(Path(top.root) / path)
                yield MemoryCgroup(version, folder / path, cgroup_name)


def _path_below(top: Mount, name: str) -> Path:
    """Return the path of a cgroup below a mount, or an empty path where it lies elsewhere.

    In a container, the kernel may report the name that the host uses, while the mount shows only
    the cgroup of the container. A name with ".." belongs to a cgroup outside that of the container.
    In both cases the mount itself is the cgroup.
    """
    if not is_below(name, top.root) or ".." in Path(name).parts:
        return Path()
    return Path(name[len(top.root.rstrip("/")) :].lstrip("/"))


def _left_by_cgroup(cgroup: MemoryCgroup) -> AvailableMemory | None:
    """Return the memory that a cgroup leaves; None where it sets no limit."""
    numbers = [_text(cgroup.folder / name).strip() for name in cgroup.version.limits]
    limits = [int(number) for number in numbers if number.isdecimal()]
    usage = _text(cgroup.folder / cgroup.version.usage).strip()
    if not limits or not usage.isdecimal():
        return None
    statistics = _text(cgroup.folder / "memory.stat")
    cached = sum(_number(rf"{key} (\d+)", statistics) or 0 for key in cgroup.version.cached)
    return _left(f"the memory cgroup {cgroup.name}", "limit", min(limits), int(usage) - cached)


def _left_by_machine() -> AvailableMemory:
    try:
        memory = psutil.virtual_memory()
    except OSError:
        # psutil fails where no /proc is mounted, as in a bare chroot.
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return AvailableMemory(total, f"the machine (memory {format_bytes(total)})")
    return _left("the machine", "memory", memory.total, memory.total - memory.available)


def _left_by_address_space() -> Iterator[AvailableMemory]:
    """Yield the memory that ``ulimit -v`` leaves, where it is set."""
    import resource  # missing on Windows, where this module can still be imported

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        used = psutil.Process().memory_info().vms
        yield _left("the address space of the process", "ulimit -v", limit, used)


def _left(whose: str, limit_name: str, size: int, used: int) -> AvailableMemory:
    used = max(0, used)
    numbers = f"{limit_name} {format_bytes(size)}, {format_bytes(used)} in use"
    return AvailableMemory(max(0, size - used), f"{whose} ({numbers})")


def _number(pattern: str, text: str) -> int | None:
    match = re.search(f"^{pattern}", text, re.MULTILINE)
    return int(match[1]) if match else None


def _text(path: Path) -> str:
    """Return the text of a file; nothing where it cannot be read."""
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
