"""SipHash-2-4 gives the digests that its authors published."""

import numpy as np
import pytest

from memtrain.core.siphash import siphash


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "310e0edd47db6f72"), (8, "6224939a79f5f593"), (16, "db9bc2577fcc2a3f")],
)
def test_digests_are_those_of_the_reference(size_bytes, expected):
    """The vectors of the reference: the key and the message count 0, 1, 2, ..."""
    message = np.frombuffer(bytes(range(size_bytes)), "<u8").reshape(1, -1)
    digests = siphash(bytes(range(16)), np.repeat(message, 9000, axis=0))
    assert {digest.tobytes().hex() for digest in digests} == {expected}
