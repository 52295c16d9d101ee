"""A file larger than the memory, read by blocks in a real memory cgroup."""

import json
import subprocess
import sys

import pytest
from benchmarks.record_files import drop_from_page_cache, numbered_rows

from tests.cgroups import UnavailableError, memory_cgroup

pytestmark = pytest.mark.slow

MIB = 1 << 20
ROWS = 1 << 20  # of 128 float32: 512 MiB


@pytest.fixture(scope="module")
def file_of_512_mib():
    with numbered_rows(ROWS, 128) as path:
        yield path


@pytest.fixture(scope="module")
def bytes_of_imports(repository, file_of_512_mib):
    """The memory of a program that has only imported what it needs."""
    return run(repository, [file_of_512_mib, "imports"])[0]["bytes"]


def run(repository, arguments, limit=None):
    command = [sys.executable, "-m", "benchmarks.one_epoch", *map(str, arguments)]
    how = {"cwd": repository, "stdout": subprocess.PIPE, "text": True, "check": True}
    if limit is None:
        return json.loads(subprocess.run(command, **how).stdout), 0
    with memory_cgroup(limit) as cgroup:
        return json.loads(cgroup.run(command, **how).stdout), cgroup.oom_kills


@pytest.mark.parametrize("reader", ["auto", "mmap", "pread", "direct"])
def test_an_epoch_over_a_file_four_times_the_memory(
    repository, file_of_512_mib, bytes_of_imports, reader
):
    drop_from_page_cache(file_of_512_mib)
    sizes = ["--buffer-bytes", "32MiB", "--memory-budget", 100 * MIB]
    try:
        found, kills = run(
            repository, [file_of_512_mib, reader, *sizes], bytes_of_imports + 128 * MIB
        )
    except UnavailableError as error:
        pytest.skip(str(error))
    assert found["rows"] == ROWS
    assert found["each_row_once"]
    assert kills == 0
    chosen = "direct (reads with O_DIRECT: 512 MiB of rows" if reader == "auto" else reader
    assert found["reader"].startswith(chosen)
    low, high = found["anonymous_kib"]
    assert high <= 1.05 * low
