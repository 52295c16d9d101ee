"""The command ``sign``: puts an exported statement into a signed envelope."""

import argparse
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.lineage.commands.base import Commands
from memtrain.lineage.export.sign import make_key, sign

_DETAILS = """\
steps:
  lineage.py sign --new-key lineage.key           makes lineage.key and lineage.key.pub, once
  lineage.py export slsa models.json              writes a statement about all results
  lineage.py sign --key lineage.key models.json   puts it into a signed DSSE envelope
  lineage.py verify-signature --key lineage.key.pub models.json results/d/splits/a/model.safetensors
                                                  verifies it, and that it is about this model

Keep the private key secret and out of version control; give the .pub file to everyone who verifies.
A key of your own has to be a PEM file without a password (openssl genpkey -algorithm ed25519)."""


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_task("sign", run, "sign an exported statement, or make a key", _DETAILS)
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument(
        "--key", type=Path, metavar="KEY", help="the private key; the signed envelope replaces FILE"
    )
    key.add_argument(
        "--new-key", type=Path, metavar="KEY", help="the private key to make; nothing is signed"
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="the statement of `export slsa` to sign"
    )


def run(arguments: argparse.Namespace) -> int:
    """Sign a statement, or make a key."""
    if arguments.new_key:
        public = make_key(arguments.new_key)
        print(f"{arguments.new_key}: the private key, which signs; keep it secret")
        print(f"{public}: the public key, which verifies")
        return 0
    if arguments.file is None:
        raise UserError(
            "sign --key KEY needs the FILE to sign; `lineage.py export slsa FILE` writes one."
        )
    sign(arguments.file, arguments.key)
    print(f"{arguments.file}: signed")
    return 0
