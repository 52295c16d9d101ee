"""Loaders of other projects beside those of memtrain: ``python -m benchmarks.peers``."""
