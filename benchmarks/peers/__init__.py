"""Loaders of other projects beside ours, in turn: ``python -m benchmarks.peers``."""
