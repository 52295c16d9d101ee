"""The points, a module for each, with a function ``find`` that yields what was found."""
