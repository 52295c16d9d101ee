"""Batches of the next token as others make them, one file per program: see ``common``."""
