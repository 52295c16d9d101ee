"""What the terminal shows of the summary."""

import pytest

from memtrain.workflow.terminal_summary import results_on_terminal

SUMMARY = """\
# digits: 2 splits

Best: a, with accuracy 0.9 on 100 evaluation rows. Baseline: always saying the most frequent class
of the training rows has accuracy 0.1.

| split | accuracy |
| :---- | -------: |
| a     |      0.9 |

- a is the best of 20 trainings by these rows, and so looks better than it is: judge it on rows that
  chose nothing.
- ±: standard error

| split | loss |
| :---- | ---: |
| b     |  1.2 |

Not evaluated: c. A name may have \\<signs.

![The splits compared](comparison.png)

<details>
<summary>Trainings</summary>

| split | steps |
| :---- | ----: |
| a     |     3 |

</details>
"""


def test_what_stands_before_the_first_fold_is_shown_without_title_and_figure():
    opening, *others = SUMMARY.split("\n\n")[1:6]
    shown = results_on_terminal(SUMMARY).split("\n\n")
    assert shown == [opening, *others[:-1], "Not evaluated: c. A name may have <signs."]


def test_sentences_and_notes_fit_the_width():
    shown = results_on_terminal(SUMMARY, 60)
    assert max(map(len, shown.splitlines())) <= 60
    assert (
        "\n- a is the best of 20 trainings by these rows, and so looks\n  better than it" in shown
    )
    assert "\n- ±: standard error\n" in shown


def test_a_text_without_results_shows_nothing():
    assert results_on_terminal("") == ""


NAMES = [f"wide_network-on_all_features-with_seed_{number:02}" for number in range(30)]
COLUMNS = ["accuracy", "baseline accuracy", "cross entropy", "AUROC"]


def table(names, columns):
    """Return a table in Markdown with a line for each name."""
    lines = [
        f"| split | {' | '.join(columns)} |",
        f"| :-- |{' --: |' * len(columns)}",
        *(f"| {name} |{' 0.912 ± 0.004 |' * len(columns)}" for name in names),
    ]
    return "\n".join(lines)


def cells_of(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("width", [60, 80, 100, 140, 400])
def test_long_names_stay_apart_and_lines_are_as_short_as_the_terminal(width):
    lines = results_on_terminal(table(NAMES, COLUMNS), width).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith("| ")]
    head, *body = [cells_of(line) for line in (rows[0], *rows[2:])]
    assert len({row[0] for row in body}) == len(NAMES)
    assert all(row[0].startswith("wide_ne") for row in body)
    assert head == ["split", *COLUMNS][: len(head)]
    hidden = [one for one in COLUMNS if one not in head]
    told = " ".join(line for line in lines if not line.startswith("|"))
    assert told == (f"Not shown for want of room: {', '.join(hidden)}." if hidden else "")
    assert (width < 140) == bool(hidden)


def test_names_are_whole_where_there_is_room():
    shown = results_on_terminal(table(NAMES, COLUMNS[:1]), 70)
    assert all(f"| {name} |" in shown for name in NAMES)


def test_a_file_shows_the_table_as_it_is():
    assert results_on_terminal(table(NAMES, COLUMNS)) == table(NAMES, COLUMNS)


def test_of_many_lines_the_rest_is_counted():
    names = [f"s{number}" for number in range(75)]
    for width in (None, 80):
        lines = results_on_terminal(table(names, COLUMNS[:1]), width).splitlines()
        assert lines[-1] == "... and 15 more lines"
        assert len(lines) == 2 + 60 + 1


def test_a_line_in_a_cell_is_no_border():
    text = "| split | lr |\n| :-- | --: |\n| a | x\\|y |"
    assert "x\\|y" in results_on_terminal(text, 80)
