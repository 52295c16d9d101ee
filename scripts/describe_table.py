"""Tell what stands in the columns of a table, before you decide how to import it.

Reads .npy, .npz, .csv, .tsv, .txt (these packed as .gz or .zip, too), .parquet, .arrow and
.feather: one file, a folder of them, or a pattern like "data/*.csv". All rows are read once, in
batches.

Of every column it tells the name, what its values are, how many are missing, how many different
ones there are, the least and the greatest, and some examples:

  integer   whole numbers; as a target, classes
  number    numbers with fractions
  boolean   true and false
  date      days, such as 2026-05-17; time: also with hours, or hours alone
  text      words; name such a column under `categories`, or leave it out
  nothing   all values are missing
  other     structs, lists of different lengths, bytes: no import takes them

A column of a text file is what all of its cells are: one word among a million numbers makes it
text. If there is one column called "a;b;c", cells are separated by another character: add
--csv '{delimiter: ";"}'.
"""

import argparse
import json
import sys

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.parsing import parse_settings_text
from memtrain.config.text_files import CsvSettings
from memtrain.core.wording import listed
from memtrain.data.tables.column_facts import MOST_VALUES, ColumnFacts, describe_columns

EXAMPLES = """\
examples:
  describe_table.py data/houses.csv
  describe_table.py "data/*.csv" --csv '{delimiter: ";", decimal: ","}'
  describe_table.py flights.parquet --json | jq '.columns[] | select(.missing > 0) | .name'"""

HEADER = ("column", "is", "missing", "different", "least", "greatest", "examples")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__, epilog=EXAMPLES)
    parser.add_argument("path", help="a file, a folder of files, or a pattern in quotes")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument(
        "--csv",
        default="{}",
        metavar="SETTINGS",
        help="how text files are written, as under `dataset: import: csv:` in config.yaml: "
        f"{', '.join(CsvSettings.model_fields)}",
    )
    parser.add_argument(
        "--values",
        type=int,
        default=MOST_VALUES,
        metavar="N",
        help="most different values of a column that are counted (%(default)s)",
    )
    return parser.parse_args(argv)


def as_json(columns: list[ColumnFacts], most_values: int) -> str:
    """Return the facts as JSON."""
    content = {
        "rows": columns[0].rows if columns else 0,
        "most_values": most_values,
        "columns": [column.to_json() for column in columns],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def as_table(columns: list[ColumnFacts], most_values: int) -> str:
    """Return the facts as a table for a terminal."""
    rows = [HEADER, *(_cells(column, most_values) for column in columns)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    count = columns[0].rows if columns else 0
    return "\n".join([*lines, "", f"{count:,} rows, {len(columns):,} columns"])


def _cells(column: ColumnFacts, most_values: int) -> tuple[str, ...]:
    shape = " x ".join(map(str, column.shape))
    different = f"> {most_values:,}" if column.values is None else f"{column.values:,}"
    return (
        column.name,
        f"{column.kind} ({shape})" if shape else column.kind,
        f"{column.missing:,}",
        "" if shape or column.kind == "other" else different,
        "" if column.least is None else str(column.least),
        "" if column.greatest is None else str(column.greatest),
        listed(one for one in column.examples if one is not None),
    )


def main(argv: list[str] | None = None) -> int:
    """Print what stands in the columns."""
    args = parse_arguments(argv)
    settings = parse_settings_text(CsvSettings, args.csv)
    columns = describe_columns(args.path, settings, args.values)
    text = as_json if args.json else as_table
    sys.stdout.write(text(columns, args.values) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
