"""What writes the generated pages of the documentation; docs/conf.py calls it."""
