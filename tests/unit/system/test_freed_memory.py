"""Freed memory stays with the process: blocks that are made again need no fresh pages."""

import platform

import pytest

from tests.fresh_pages import fresh_pages

#: Makes and frees 128 blocks of 1 MiB, which the C library gives back with the end of its heap.
PROGRAM = """
import sys

from memtrain.system.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory(256 << 20)


def use_memory():
    return [b"x" * (1 << 20) for _ in range(128)]
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library has no mallopt")
def test_blocks_that_are_made_again_need_no_fresh_pages():
    pages = (128 << 20) // 4096
    assert fresh_pages(PROGRAM, "given back") > 7 * pages
    assert fresh_pages(PROGRAM, "kept") < pages // 10
