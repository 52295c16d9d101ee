"""Values in messages: short, and in no time, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.core.wording import did_you_mean, readable, shown, without_middle

LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "0.5"),
        ("é", "'é'"),
        ("\ud800", r"'\ud800'"),
        ({"a": [1, None]}, "{'a': [1, None]}"),
        (10**320, "a number of about 320 digits"),
        ([-(10**5000)], "[a number of about 5000 digits]"),
    ],
)
def test_a_value_is_shown_as_code(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize("value", ["x" * 10**7, list(range(10**6)), LOOP, {"x": LOOP}])
def test_a_long_value_is_shown_in_part(value):
    assert len(shown(value)) < 250


def test_only_words_have_a_word_that_was_meant():
    assert did_you_mean("epoch", ["epochs", "seed"]) == " Did you mean 'epochs'?"
    assert did_you_mean(10**5000, ["epochs"]) == did_you_mean("x" * 10**6, ["epochs"]) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("für Anna", "für Anna"),
        (b"f\xfcr Anna".decode(errors="surrogateescape"), "für Anna"),
        (b"f\xc3\xbcr Anna".decode("ascii", errors="surrogateescape"), "für Anna"),
        ("a\ud800b\udc00", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"),
        ("😀", "😀"),
    ],
)
def test_bytes_that_are_not_utf_8_become_readable(text, expected):
    assert readable(text) == expected
    assert readable(text).encode()


@given(st.text(max_size=60), st.integers(3, 60))
def test_a_long_name_loses_its_middle_alone(name, length):
    found = without_middle(name, length)
    if len(name) <= length:
        assert found == name
    else:
        end = length // 2
        assert len(found) == length
        assert found[-end - 1] == "…"
        assert name.startswith(found[: -end - 1])
        assert name.endswith(found[-end:])
