"""Batches of rows that vary in length: padded fields, and what stands beside each of them.

A batch of n rows whose longest has T elements holds three tensors for such a field:

  <field>           (n, T, ...), the elements of each row, and zeros after the last of them
  <field>_lengths   int64 (n,), the number of elements of each row
  <field>_mask      bool (n, T), true where there is an element

T is at least 1, so that no model has to deal with an axis without places.
"""


def lengths_name(field: str) -> str:
    """Return the name under which a batch holds the lengths of the rows of a field."""
    return f"{field}_lengths"


def mask_name(field: str) -> str:
    """Return the name under which a batch holds where the rows of a field have elements."""
    return f"{field}_mask"
