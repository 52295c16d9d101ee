"""The same training as others write it, one file per program. Each prints rows and seconds."""
