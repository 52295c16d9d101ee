"""``withdrawals.yaml`` is read as it was written, or an error names what is wrong in it."""

import pytest

from memtrain.core.errors import UserError
from memtrain.recipes.withdrawals import Withdrawal, read_withdrawals, write_withdrawals


def withdrawal(start, end):
    return Withdrawal(
        rows=(start, end), reason="consent: withdrawn", at="2026-01-01T00:00:00Z", digest="sha256:0"
    )


def test_withdrawals_read_back_sorted_and_those_of_other_datasets_stay(tmp_path):
    path = tmp_path / "withdrawals.yaml"
    assert read_withdrawals(path, "a") == []
    write_withdrawals(path, "a", [withdrawal(7, 9), withdrawal(1, 3)])
    write_withdrawals(path, "b", [withdrawal(4, 5)])
    write_withdrawals(path, "b", [])
    assert read_withdrawals(path, "a") == [withdrawal(1, 3), withdrawal(7, 9)]
    assert read_withdrawals(path, "b") == []
    assert path.read_text().startswith("# Rows that must not be used any more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read"),
        ("- 1", "found list, not a list of withdrawals under the name of each dataset"),
        ("a: [{rows: [1, 2], at: t, digest: d}]", r"a\.0\.reason is wrong .*Field required"),
        ("a: [3]", r"a\.0 is wrong .*Each withdrawal has `rows"),
        ("a: 3", "a is wrong .*list"),
        (
            "a: [{rows: [2, 2], reason: r, at: t, digest: d}]",
            r"a\.0\.rows .*rows are \[start, end\), with 0 <= start < end",
        ),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, text, message):
    (tmp_path / "withdrawals.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"withdrawals\.yaml: .*{message}"):
        read_withdrawals(tmp_path / "withdrawals.yaml", "a")
