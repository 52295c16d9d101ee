"""What the terminal shows of the summary."""

from memtrain.workflow.terminal import tables_of_results

SUMMARY = """\
# digits: 2 splits

| split | accuracy |
| :---- | -------: |
| a     |      0.9 |

- accuracy: a share
  | of rows |

| split | loss |
| :---- | ---: |
| b     |  1.2 |

## Trainings

| split | steps |
| :---- | ----: |
| a     |     3 |
"""


def test_the_tables_of_all_tasks_are_shown_and_no_others():
    assert tables_of_results(SUMMARY).split("\n\n") == [
        "| split | accuracy |\n| :---- | -------: |\n| a     |      0.9 |",
        "| split | loss |\n| :---- | ---: |\n| b     |  1.2 |",
    ]


def test_a_text_without_tables_has_none():
    assert tables_of_results("") == ""
