"""A field whose values lie in files: a stream, and which of its elements each row is."""

from dataclasses import dataclass

from memtrain.core.ranges import Range
from memtrain.data.streams.row_addresses import Consecutive, Ragged, RowAddresses
from memtrain.data.streams.stream import Stream


@dataclass(frozen=True, eq=False)
class StoredField:
    """Values that lie in files in one stream: all or a part of what a row is.

    Attributes:
        name: name of the field.
        stream: the elements.
        addresses: which of the elements each row is.
    """

    name: str
    stream: Stream
    addresses: RowAddresses

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.addresses.rows

    @property
    def is_ragged(self) -> bool:
        """Whether rows vary in length."""
        return isinstance(self.addresses, Ragged)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row.

        Raises:
            ValueError: where rows vary in length.
        """
        if isinstance(self.addresses, Ragged):
            raise ValueError(f"the rows of {self.name} vary in length")
        if isinstance(self.addresses, Consecutive):
            return self.stream.shape
        return (self.addresses.length, *self.stream.shape)

    @property
    def row_bytes(self) -> int:
        """The size of one row, in bytes; the mean size, rounded up, where rows vary in length."""
        if isinstance(self.addresses, Ragged):
            all_bytes = self.addresses.elements * self.stream.element_bytes
            return -(-all_bytes // max(1, self.rows))
        return self.addresses.length * self.stream.element_bytes

    def bytes_of(self, rows: Range) -> int:
        """Return the size of some rows, in bytes."""
        if not isinstance(self.addresses, Ragged):
            return rows.rows * self.row_bytes
        first, end = self.addresses.span(*rows)
        return (end - first) * self.stream.element_bytes
