"""One file per program: how it converts the rows, and the loader that yields their batches."""
