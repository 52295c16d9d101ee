"""How much memory a ``BlockLoader`` takes, known before anything is read."""

from memtrain.core.byte_sizes import format_bytes
from memtrain.core.errors import TransientError
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.data.streams.row_addresses import Windows
from memtrain.data.streams.stored_field import StoredField
from memtrain.loading.batch_gatherer import gathering_memory_bytes
from memtrain.loading.gathered_fields import stored_fields
from memtrain.loading.padded_gatherer import padded_gathering_memory_bytes
from memtrain.loading.pages import PAGE_BYTES
from memtrain.loading.row_order import RowOrder
from memtrain.loading.row_pieces import MOST_GAP_BYTES
from memtrain.loading.shuffle_buffer import buffer_count
from memtrain.system.memory import available_memory

#: The share of the free memory that a loader may take if no budget is set.
_SHARE_OF_FREE_MEMORY = 2 / 3

#: Bytes of one place (int64), and the arrays of places that exist at a time: one for the buffer in
#: use, and several for each of the two buffers that are planned and filled meanwhile; and arrays
#: of lengths, where rows vary in length.
_PLACE_BYTES = 8
_PLACE_ARRAYS = 6
_LENGTH_ARRAYS = 5


def batch_lifetime(slots: range, gather_ahead: bool) -> int:
    """Return how many more batches may be gathered before one is overwritten.

    Args:
        slots: the slots of every window that the process takes.
        gather_ahead: whether the next window is gathered while one is used.
    """
    return len(slots) * (2 if gather_ahead else 1)


def loader_memory_bytes(
    dataset: MemmapDataset,
    order: RowOrder,
    *,
    slots: range | None = None,
    gather_ahead: bool = False,
) -> int:
    """Return the memory that a loader takes at most: buffers, batches and their bookkeeping.

    Args:
        dataset: the dataset that the rows belong to.
        order: the order of the rows.
        slots: the slots of every window that the process takes; all if not given.
        gather_ahead: whether the next window is gathered while the current one is used.
    """
    slots = order.slots if slots is None else slots
    rows = order.rows_per_buffer
    if order.in_lanes:
        rows = -(-rows * len(slots) // order.accumulation_steps)
    # Either end of each range and of each slot's rows can cut a block in two.
    runs = rows // order.rows_per_block + 2 * (len(order.ranges) + len(slots))
    filling_bytes = sum(
        filling_memory_bytes(
            rows=rows, runs=min(rows, runs), field=field, buffers=buffer_count(order)
        )
        for field in stored_fields(dataset)
    )
    gathering = padded_gathering_memory_bytes if dataset.is_ragged else gathering_memory_bytes
    lifetime = batch_lifetime(slots, gather_ahead)
    return filling_bytes + gathering(dataset, order.batch_size, lifetime)


def filling_memory_bytes(*, rows: int, runs: int, field: StoredField, buffers: int) -> int:
    """Return the memory that filling takes at most for a field, in bytes.

    Args:
        rows: the rows of a buffer.
        runs: the runs of rows in a buffer.
        field: the stored field.
        buffers: the number of buffers.
    """
    addresses, element_bytes = field.addresses, field.stream.element_bytes
    if isinstance(addresses, Windows):
        # From one row to the next, and behind the last row of each run; and what lies between
        # segments that are read together.
        elements = rows * max(addresses.stride, addresses.length) + runs * addresses.length
        gap_bytes = min(MOST_GAP_BYTES, addresses.length * element_bytes)
        in_buffer = elements * element_bytes + min(rows, len(addresses.borders)) * gap_bytes
    else:
        # A run that neither begins nor ends on a page also takes the rest of two pages.
        loads = min(rows, runs + len(field.stream.part_files) - 1)
        in_buffer = rows * field.row_bytes + loads * 2 * PAGE_BYTES
    arrays = _PLACE_ARRAYS + (_LENGTH_ARRAYS if field.is_ragged else 0)
    return buffers * in_buffer + arrays * _PLACE_BYTES * rows


def require_memory(needed_bytes: int, budget_bytes: int | None, buffer_bytes: int) -> None:
    """Refuse a loader that needs more memory than it may take.

    Args:
        needed_bytes: the memory that the loader needs.
        budget_bytes: the memory that the loader may take; None for two thirds of what is free.
        buffer_bytes: the size of one shuffle buffer, for the advice.

    Raises:
        TransientError: naming the sizes that would fit.
    """
    origin = "as set"
    if budget_bytes is None:
        available = available_memory()
        budget_bytes = int(available.bytes * _SHARE_OF_FREE_MEMORY)
        origin = f"two thirds of what {available.source} leaves free"
    if needed_bytes <= budget_bytes:
        return
    smaller_buffer_bytes = max(1, int(buffer_bytes * budget_bytes / needed_bytes * 0.9))
    raise TransientError(
        f"memory_budget: {format_bytes(needed_bytes)} are needed for buffers of "
        f"{format_bytes(buffer_bytes)} and the batches of a window, but the budget is "
        f"{format_bytes(budget_bytes)} ({origin}). Allow a memory_budget of "
        f"{format_bytes(needed_bytes)}, or set shuffle.buffer_bytes to about "
        f"{format_bytes(smaller_buffer_bytes)} (which changes the order of the rows); a window of "
        "batch_size x accumulation_steps rows must fit into it."
    )
