"""Counts the pages that a process gets fresh from the system for memory that it uses again."""

import os
import subprocess
import sys

_COUNTING = """
import resource


def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


use_memory()
use_memory()
before = pages()
for _ in range(8):
    use_memory()
print(pages() - before)
"""


def fresh_pages(program, *arguments):
    """Return how many fresh pages a process needs for eight uses of memory after the first two.

    Args:
        program: text of a program that defines ``use_memory``, a function without arguments.
        arguments: arguments of the program.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program + _COUNTING, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return int(done.stdout)
