"""The command ``verify-signature``: checks who signed a statement, and which files it is about."""

import argparse
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.lineage.commands.base import Commands
from memtrain.lineage.export.sign import verified_statement
from memtrain.system.digests import digest_of_file


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_task(
        "verify-signature",
        run,
        "check that a key has signed a statement, and which files it is about",
    )
    parser.add_argument("--key", type=Path, metavar="KEY", required=True, help="the public key")
    parser.add_argument("file", type=Path, metavar="FILE", help="the envelope that `sign` wrote")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="results that the statement has to be about, byte for byte",
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify the signature of a statement, and that it is about the named files."""
    statement = verified_statement(arguments.file, arguments.key)
    if statement is None:
        print(f"{arguments.file}: NOT signed by {arguments.key}, or changed since")
        return 1
    digests = {one["name"]: one["digest"].get("sha256") for one in statement["subject"]}
    subjects = counted(len(digests), "file")
    known = {f"sha256:{digest}" for digest in digests.values()}
    wrong = [path for path in arguments.paths if _digest(path) not in known]
    print(f"{arguments.file}: signed by {arguments.key}; it is about {subjects}")
    for path in arguments.paths:
        print(f"{path}: {'NOT one of them, byte for byte' if path in wrong else 'one of them'}")
    return 1 if wrong else 0


def _digest(path: str) -> str:
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file.")
    return digest_of_file(path)
