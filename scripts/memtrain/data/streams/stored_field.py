"""A field whose values lie in files: a stream, and which of its elements each row is."""

from dataclasses import dataclass

from memtrain.data.streams.row_addresses import Consecutive, RowAddresses
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
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        if isinstance(self.addresses, Consecutive):
            return self.stream.shape
        return (self.addresses.length, *self.stream.shape)

    @property
    def row_bytes(self) -> int:
        """The size of one row, in bytes."""
        return self.addresses.length * self.stream.element_bytes
