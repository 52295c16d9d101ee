"""Benchmarks beside other programs: ``python -m benchmarks``. They are not part of the tests."""
