"""How many files a loader keeps mapped: the kernel allows a process only so many mappings.

Files above that number are read. Which files are mapped changes no result.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from memtrain.data.streams.stored_field import StoredField
from memtrain.system.file_systems import file_system_of

_LIMIT = Path("/proc/sys/vm/max_map_count")

#: The kernel's own default, for systems that do not tell the limit.
_USUAL_LIMIT = 65_530

#: Share of a process's mappings that a loader takes. A training has two loaders, one of them for
#: validation; the rest is for libraries, threads and what the caller maps.
_SHARE = 1 / 3

#: Mappings of a file: the file itself, and the gap after it.
_MAPPINGS_PER_FILE = 2

#: Network file systems keep state for every mapped file, on the server too, which is freed late.
_MOST_ON_NETWORK = 1_000


def most_mapped_files(paths: Iterable[str]) -> int:
    """Return how many files a loader maps on this machine at most.

    Args:
        paths: a path in each folder of the files.
    """
    try:
        limit = int(_LIMIT.read_text())
    except (OSError, ValueError):
        limit = _USUAL_LIMIT
    most = int(limit * _SHARE / _MAPPINGS_PER_FILE)
    is_network = any(file_system_of(path).is_network for path in paths)
    return min(most, _MOST_ON_NETWORK) if is_network else most


def mapped_fields(
    fields: Sequence[StoredField], setting: int | None, paths: Iterable[str]
) -> list[bool]:
    """Return which fields may be mapped, those with the fewest files first.

    Args:
        fields: the fields, each of which is mapped or read as a whole.
        setting: number of files that may be mapped; None for ``most_mapped_files``.
        paths: a path in each folder of the files.
    """
    most = most_mapped_files(paths) if setting is None else setting
    chosen = [False] * len(fields)
    for number in sorted(range(len(fields)), key=lambda number: len(fields[number].stream.paths)):
        most -= len(fields[number].stream.paths)
        chosen[number] = most >= 0
    return chosen
