"""How much memory this process may still take before it is killed for it or refused more."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.core.byte_sizes import format_bytes
from memtrain.system.mount_table import Mount, is_below, parse_mounts


@dataclass(frozen=True)
class AvailableMemory:
    """Memory that can still be taken.

    Attributes:
        bytes: how much; 0 where a limit is reached.
        source: whose memory it is, to be named in a message: "the memory cgroup /slurm/job_7
            (limit 4 GiB, 1.2 GiB in use)".
    """

    bytes: int
    source: str


@dataclass(frozen=True)
class CgroupVersion:
    """What one of the two versions of cgroups calls things.

    Attributes:
        mount_kind: the kind of file system that its folders are.
        limits: the files of a cgroup's limits, of which the lowest holds.
        usage: the file of the memory in use, cached pages of files among it.
        cached: the keys in ``memory.stat`` of these pages, of all cgroups below as well.
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
    """A memory cgroup that this process is in.

    Attributes:
        version: of cgroups.
        folder: its files.
        name: its path as the kernel tells it.
    """

    version: CgroupVersion
    folder: Path
    name: str


def available_memory(root: str | os.PathLike = "/") -> AvailableMemory:
    """Return the memory that the machine, the memory cgroups and ``ulimit -v`` all leave.

    Cached pages of files count as free, as they do in the kernel's own ``MemAvailable``: they are
    given up when memory is asked for, and the rows of a large file would else be "in use" once they
    are read.

    Args:
        root: the folder that ``proc`` and ``sys`` lie in.
    """
    root = Path(root)
    cgroups = filter(None, map(_left_by_cgroup, memory_cgroups(root)))
    everything = [_left_by_machine(root), *_left_by_address_space(root), *cgroups]
    return min(everything, key=lambda left: left.bytes)


def memory_cgroups(root: str | os.PathLike = "/") -> Iterator[MemoryCgroup]:
    """Yield the memory cgroup of this process and all around it, from the inmost to the outmost."""
    root = Path(root)
    mounts = list(parse_mounts(_text(root / "proc/self/mountinfo")))
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            tops = [mount for mount in mounts if mount.kind == V2.mount_kind]
            yield from _upwards(V2, root, tops, name)
        elif "memory" in controllers.split(","):
            of_version = [mount for mount in mounts if mount.kind == V1.mount_kind]
            tops = [mount for mount in of_version if "memory" in mount.options]
            yield from _upwards(V1, root, tops, name)


def _upwards(
    version: CgroupVersion, root: Path, tops: list[Mount], name: str
) -> Iterator[MemoryCgroup]:
    for top in tops:
        folder = root / top.mount_point.lstrip("/")
        inmost = _below(top, name)
        for below in (inmost, *inmost.parents):
            if (folder / below).is_dir():
                cgroup = os.path.normpath(Path(top.root) / below)
                yield MemoryCgroup(version, folder / below, cgroup)


def _below(top: Mount, name: str) -> Path:
    """Return where a cgroup lies below a mount; where it does not, that is the mount itself.

    In a container, the name may be told as the host sees it, and the mount show nothing of the
    host. (A name with ".." is that of a cgroup outside the container's.)
    """
    if not is_below(name, top.root) or ".." in Path(name).parts:
        return Path()
    return Path(name[len(top.root.rstrip("/")) :].lstrip("/"))


def _left_by_cgroup(cgroup: MemoryCgroup) -> AvailableMemory | None:
    numbers = [_text(cgroup.folder / name).strip() for name in cgroup.version.limits]
    limits = [int(number) for number in numbers if number.isdecimal()]
    usage = _text(cgroup.folder / cgroup.version.usage).strip()
    if not limits or not usage.isdecimal():
        return None
    statistics = _text(cgroup.folder / "memory.stat")
    cached = sum(_number(rf"{key} (\d+)", statistics) or 0 for key in cgroup.version.cached)
    return _left(f"the memory cgroup {cgroup.name}", "limit", min(limits), int(usage) - cached)


def _left_by_machine(root: Path) -> AvailableMemory:
    table = _text(root / "proc/meminfo")
    total, available = (
        _number(rf"{key}: +(\d+) kB", table) for key in ("MemTotal", "MemAvailable")
    )
    if total is None or available is None:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return AvailableMemory(total, f"the machine (memory {format_bytes(total)})")
    return _left("the machine", "memory", total * 1024, (total - available) * 1024)


def _left_by_address_space(root: Path) -> Iterator[AvailableMemory]:
    limit = _number(r"Max address space +(\d+) ", _text(root / "proc/self/limits"))
    used = _number(r"VmSize:\s+(\d+) kB", _text(root / "proc/self/status"))
    if limit is not None and used is not None:
        yield _left("the address space of the process", "ulimit -v", limit, used * 1024)


def _left(whose: str, called: str, size: int, used: int) -> AvailableMemory:
    used = max(0, used)
    numbers = f"{called} {format_bytes(size)}, {format_bytes(used)} in use"
    return AvailableMemory(max(0, size - used), f"{whose} ({numbers})")


def _number(pattern: str, text: str) -> int | None:
    match = re.search(f"^{pattern}", text, re.MULTILINE)
    return int(match[1]) if match else None


def _text(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
