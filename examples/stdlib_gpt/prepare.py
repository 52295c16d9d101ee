"""List the source files of Python's standard library, for config.yaml: data/files.yaml.

Nothing is copied: the rows are windows of the files where they lie. The files of packages that no
model is trained on come last, so that rows of training, validation and evaluation are ranges.

Left out are packages that others installed (site-packages), tests, which repeat what they test, and
what is no program written by hand: tables of characters that a tool wrote (encodings), and manuals
as text (pydoc_data).
"""

import argparse
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

LENGTH = 128  # as `windows` in config.yaml

LEFT_OUT = {"site-packages", "encodings", "pydoc_data", "test", "tests", "idle_test"}

#: Packages for each use of a split; all others are trained on.
HELD_OUT = {"validate": ("email",), "evaluate": ("asyncio", "json")}

HEADER = """\
# Written by prepare.py: the source files of {version}, and the rows of each use.
"""


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--library",
        type=Path,
        default=Path(sysconfig.get_path("stdlib")),
        help="the folder of the standard library (default: that of this Python, %(default)s)",
    )
    parser.add_argument(
        "--files",
        type=Path,
        default=Path(__file__).parent / "data" / "files.yaml",
        help="the list to write (default: data/files.yaml beside this script)",
    )
    return parser.parse_args(argv)


def source_files(library: Path) -> dict[str, list[Path]]:
    """Return the files of each use, sorted by their paths in the library."""
    uses = {package: use for use, packages in HELD_OUT.items() for package in packages}
    files: dict[str, list[Path]] = {use: [] for use in ("train", *HELD_OUT)}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if not LEFT_OUT & set(parts):
            files[uses.get(parts[0], "train")].append(path)
    return files


def count_rows(paths: Iterable[Path]) -> int:
    """Return the windows of some files: whole ones of each, with a byte after the last."""
    return sum(max(0, path.stat().st_size - 1) // LENGTH for path in paths)


def files_yaml(files: dict[str, list[Path]]) -> str:
    """Return the part of the configuration that follows from the files."""
    lines = [HEADER.format(version=f"Python {sys.version.split()[0]}").rstrip()]
    lines += ["splits:", "  gpt:"]
    end = 0
    for use, paths in files.items():
        start, end = end, end + count_rows(paths)
        lines.append(f"    {use}: [{start}, {end}]")
    lines += ["dataset:", "  files:", "    path:"]
    for use, paths in files.items():
        lines.append(f"      # {use}")
        lines += [f"      - '{path}'" for path in paths]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the list."""
    args = parse_arguments(argv)
    files = source_files(args.library)
    text = files_yaml(files)
    args.files.parent.mkdir(parents=True, exist_ok=True)
    # A list that stays as it is keeps its time, so that nothing is compared again.
    if not args.files.exists() or args.files.read_text() != text:
        args.files.write_text(text)
    uses = ", ".join(f"{len(paths):,} to {use}" for use, paths in files.items())
    print(f"{args.files}: {sum(map(len, files.values())):,} files ({uses})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
