"""Runs a part of a test as a user who may not read everything, as the superuser may."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_another_user() -> Iterator[None]:
    """Run as nobody, where the tests run as the superuser; else as the user who runs them."""
    is_superuser = os.geteuid() == 0
    if is_superuser:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if is_superuser:
            os.setresuid(0, 0, 0)
