"""Exchanges between processes of one machine, here between threads that hold the two ends."""

import socket
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memtrain.training.distributed.local_channel import AREA_BYTES, LocalChannel, SharedMemory
from memtrain.training.distributed.local_partners import open_channel

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8]

LONG = AREA_BYTES // 4 * 2 + 17


@pytest.fixture(scope="module")
def both():
    with ThreadPoolExecutor(2) as threads:

        def both(function, *sides):
            """Call a function for both sides at once, and return what it returned for each."""
            return [one.result(60) for one in [threads.submit(function, *side) for side in sides]]

        yield both


def new_channel(end):
    return LocalChannel(end, SharedMemory(), timeout_seconds=60)


@pytest.fixture(scope="module")
def channels(both):
    ends = both(new_channel, *((end,) for end in socket.socketpair()))
    yield ends
    for one in ends:
        one.close()


def exchange_one(channel, part):
    return channel.exchange([part])[0]


def numbers(seed, shape, dtype):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 100, shape, generator=generator).to(dtype)


parts = st.lists(
    st.tuples(
        st.sampled_from([(), (0,), (1,), (13,), (3, 5), (LONG,), (7, LONG // 7)]),
        st.sampled_from(DTYPES),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=15)
@given(messages=st.lists(parts, min_size=1, max_size=3))
def test_both_sides_get_what_the_other_has_sent(both, channels, messages):
    sent = [
        [[numbers(side, shape, dtype) for shape, dtype in message] for message in messages]
        for side in (0, 1)
    ]

    def exchange(channel, messages):
        return [channel.exchange(message) for message in messages]

    received = both(exchange, *zip(channels, sent, strict=True))
    for found, expected in zip(received, reversed(sent), strict=True):
        for one, other in zip(found, expected, strict=True):
            assert all(
                a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
                for a, b in zip(one, other, strict=True)
            )


def test_a_part_that_is_no_run_of_memory_arrives_whole(both, channels):
    sent = [numbers(side, (8, 6), torch.float32).T for side in (0, 1)]
    received = both(
        lambda channel, part: channel.exchange([part])[0], *zip(channels, sent, strict=True)
    )
    assert torch.equal(received[0], sent[1])
    assert torch.equal(received[1], sent[0])


def test_what_was_received_stays_when_more_is_exchanged(both, channels):
    def exchange(channel, side):
        return [channel.exchange([torch.tensor([side + 10 * step])])[0] for step in range(6)]

    first, _ = both(exchange, *zip(channels, (1, 2), strict=True))
    assert [int(one) for one in first] == [2, 12, 22, 32, 42, 52]


def test_a_side_that_is_gone_is_an_error(both):
    one, other = both(new_channel, *((end,) for end in socket.socketpair()))
    other.close()
    with pytest.raises(OSError, match=r"connection is closed|Broken pipe"):
        one.exchange([torch.ones(3)])
    one.close()


def opened(both, change=lambda note: note):
    """Let two sides open a channel; what the second one receives may be changed on its way."""
    queues = [Queue(), Queue()]

    def swap(side):
        def swap(note):
            queues[side].put(note)
            received = queues[1 - side].get(timeout=60)
            return change(received) if side else received

        return swap

    def open_side(side):
        return open_channel(swap(side), listens=side == 0, timeout_seconds=60)

    return both(open_side, (0,), (1,))


def test_two_sides_of_one_machine_open_a_channel(both):
    channels = opened(both)
    received = both(
        lambda channel, side: channel.exchange([torch.tensor(side)])[0],
        *zip(channels, (1, 2), strict=True),
    )
    assert [int(one) for one in received] == [2, 1]
    for one in channels:
        one.close()


def test_a_side_that_cannot_connect_leaves_both_without_a_channel(both):
    def other_name(note):
        """Replace the name of the socket, which the first note ends with."""
        text = bytes(note.tolist()).rstrip(b"\0")
        place, separator, name = text.partition(b"\n")
        changed = place + separator + (b"\0no such" if name else b"")
        return torch.tensor(list(changed.ljust(len(note), b"\0")), dtype=torch.uint8)

    assert opened(both, other_name) == [None, None]
