"""Sizes in bytes are read from text and written as text."""

import re

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.config.parsing import parse_settings
from memtrain.config.types import Bytes, Settings
from memtrain.core.byte_sizes import format_bytes, parse_bytes
from memtrain.core.errors import UserError

UNITS = [1, *(2 ** (10 * power) for power in range(1, 5)), *(1000**power for power in range(1, 5))]


class Loading(Settings):
    """Settings that have a size, as in a configuration."""

    buffer: Bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256KiB", 256 * 2**10),
        ("1.5 GiB", 3 * 2**29),
        ("64 MB", 64_000_000),
        ("4096", 4096),
        ("512B", 512),
        (" 2 tib ", 2**41),
        ("3 tB", 3 * 10**12),
        ("7kb", 7000),
        ("0.3 KiB", 307),
        (4096, 4096),
        (1, 1),
    ],
)
def test_texts_and_numbers_are_read_as_sizes(text, size):
    assert parse_bytes(text) == size
    assert Loading(buffer=text).buffer == size
    jsonschema.validate({"buffer": text}, Loading.model_json_schema())


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        True,
        None,
        1.5,
        [],
        "",
        "KiB",
        "-1 KiB",
        "5K",
        "5 iB",
        "5 PiB",
        "1.5",
        "1.5 B",
        "1,5 MB",
    ],
)
def test_a_value_that_is_not_a_size_is_an_error(value):
    with pytest.raises(
        UserError, match=re.escape(f"buffer: found {value!r}; a size like 256KiB is needed.")
    ):
        parse_settings(Loading, {"buffer": value})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"buffer": value}, Loading.model_json_schema())


@pytest.mark.parametrize("text", ["0", "0 KiB", "0.0001 KiB"])
def test_less_than_one_byte_is_an_error(text):
    with pytest.raises(ValueError, match="a size like 256KiB is needed"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (4096, "4 KiB"),
        (256 * 2**20, "256 MiB"),
        (3 * 2**29, "1.5 GiB"),
        (1025 * 2**20, "1025 MiB"),
        (64_000_000, "64 MB"),
        (24_191_644 * 2**10, "23.1 GiB"),
        (2**30 + 1, "1.0 GiB"),
        (12_345 * 2**40, "12345.0 TiB"),
    ],
)
def test_sizes_are_written_as_people_write_them(size, text):
    assert format_bytes(size) == text


@given(st.integers(1, 9999), st.sampled_from(UNITS))
def test_a_short_size_is_written_exactly(count, unit):
    assert parse_bytes(format_bytes(count * unit)) == count * unit


@given(st.integers(1, 2**60))
def test_a_written_size_is_within_five_percent(size):
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.05)
