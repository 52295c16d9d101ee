"""Speed, side by side with others: ``python -m benchmarks``. Never part of the tests."""
