"""Compare the GPT with gzip and with a unigram model, in bits per byte of the evaluated files.

gzip writes its best (level 9): all files as one, where it may refer back to earlier files, and file
by file. The models see windows of 128 bytes and know nothing of what came before a window, and the
first byte of each file and the rest at its end are not counted; gzip writes whole files.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from prepare import count_rows


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", required=True, type=Path, help="data/files.yaml, from prepare")
    parser.add_argument("--evaluation", required=True, type=Path, help="evaluation.json")
    parser.add_argument("--table", required=True, type=Path, help="the table to write, Markdown")
    return parser.parse_args(argv)


def evaluated_files(listed: dict[str, Any]) -> Iterator[Path]:
    """Yield the files that hold the evaluated rows.

    Args:
        listed: content of data/files.yaml.
    """
    start, end = listed["splits"]["gpt"]["evaluate"]
    row = 0
    for path in map(Path, listed["dataset"]["files"]["path"]):
        rows = count_rows([path])
        if rows and start <= row < end:
            yield path
        row += rows


def bits_of_gzip(texts: Sequence[bytes]) -> float:
    """Return the bits that gzip needs for each byte of some texts, each compressed by itself."""
    written = sum(len(gzip.compress(text, 9)) for text in texts)
    return 8 * written / sum(map(len, texts))


def main(argv: list[str] | None = None) -> int:
    """Write the table."""
    args = parse_arguments(argv)
    listed = yaml.safe_load(args.files.read_text())
    texts = [path.read_bytes() for path in evaluated_files(listed)]
    evaluation = json.loads(args.evaluation.read_text())
    bits = {
        "unigram model": evaluation["baseline"]["bits_per_element"],
        "gzip, file by file": bits_of_gzip(texts),
        "gzip, all files as one": bits_of_gzip([b"".join(texts)]),
        "GPT": evaluation["metrics"]["bits_per_element"],
    }
    lines = ["| coder | bits per byte |", "| :-- | --: |"]
    lines += [f"| {name} | {value:.3f} |" for name, value in bits.items()]
    args.table.parent.mkdir(exist_ok=True)
    args.table.write_text("\n".join(lines) + "\n")
    print(f"{args.table}: {len(texts)} files, {sum(map(len, texts)):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
