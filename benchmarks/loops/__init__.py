"""One file a program: the same training as others write it. Prints rows and seconds."""
