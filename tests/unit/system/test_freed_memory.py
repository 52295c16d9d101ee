"""Freed memory stays with the process: blocks that are made again need no fresh pages."""

import os
import platform
import subprocess
import sys

import pytest

#: Makes and frees 128 blocks of 1 MiB, which the C library gives back with the end of its heap;
#: prints how many fresh pages the last four rounds needed.
PROGRAM = """
import resource
import sys

from memtrain.system.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory(256 << 20)


def use_memory():
    return [b"x" * (1 << 20) for _ in range(128)]


def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


use_memory()
before = pages()
for _ in range(4):
    use_memory()
print(pages() - before)
"""


def fresh_pages(mode):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no mallopt")
def test_blocks_that_are_made_again_need_no_fresh_pages():
    pages = (128 << 20) // 4096
    assert fresh_pages("given back") > 3 * pages
    assert fresh_pages("kept") < pages // 10
