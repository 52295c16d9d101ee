"""One file a program: how its rows are prepared, and what yields their batches."""
