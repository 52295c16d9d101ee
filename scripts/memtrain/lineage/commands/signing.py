"""sign and verify-signature: a statement in an envelope, and whether a key has signed it."""

import argparse
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import counted
from memtrain.lineage.commands.base import Commands
from memtrain.lineage.export.sign import make_key, sign, verified_statement
from memtrain.system.digests import digest_of_file

_SIGN = """\
  lineage.py sign --new-key lineage.key           once: makes lineage.key and lineage.key.pub
  lineage.py export slsa models.json              a statement about all results
  lineage.py sign --key lineage.key models.json   puts it into a DSSE envelope
  lineage.py verify-signature --key lineage.key.pub models.json results/d/splits/a/model.safetensors

Keep the key to yourself, out of version control; give the .pub file to whom it may concern. A key
of your own has to be a PEM file without a password (openssl genpkey -algorithm ed25519)."""


def add_commands(commands: Commands) -> None:
    """Add sign and verify-signature."""
    one = commands.task("sign", sign_statement, "sign an exported statement", _SIGN)
    key = one.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", type=Path, help="the private key; FILE is signed in its place")
    key.add_argument("--new-key", type=Path, metavar="FILE", help="make a key; nothing is signed")
    one.add_argument("file", nargs="?", type=Path, metavar="FILE", help="from `export slsa`")
    one = commands.task(
        "verify-signature", verify_signature, "whether a key has signed a statement"
    )
    one.add_argument("--key", type=Path, required=True, help="the public key")
    one.add_argument("file", type=Path, metavar="FILE", help="the envelope that `sign` wrote")
    one.add_argument(
        "paths", nargs="*", metavar="PATH", help="results: whether it speaks of exactly these bytes"
    )


def sign_statement(arguments: argparse.Namespace) -> int:
    """Sign a statement, or make a key."""
    if arguments.new_key:
        public = make_key(arguments.new_key)
        print(f"{arguments.new_key} signs (keep it to yourself); {public} verifies")
        return 0
    if arguments.file is None:
        raise UserError(
            "sign --key KEY wants the FILE to sign; `lineage.py export slsa` writes one."
        )
    sign(arguments.file, arguments.key)
    print(f"{arguments.file}: signed")
    return 0


def verify_signature(arguments: argparse.Namespace) -> int:
    """Verify a signature, and that files are those that it is about."""
    content = verified_statement(arguments.file, arguments.key)
    if content is None:
        print(f"{arguments.file}: NOT signed by {arguments.key}, or changed since")
        return 1
    subjects = {one["name"]: one["digest"].get("sha256") for one in content["subject"]}
    digests = {f"sha256:{digest}" for digest in subjects.values()}
    wrong = []
    for path in arguments.paths:
        if not Path(path).is_file():
            raise UserError(f"{path}: there is no such file.")
        if digest_of_file(path) not in digests:
            wrong.append(path)
    subjects_in_all = counted(len(subjects), "file")
    print(f"{arguments.file}: signed by {arguments.key}; it speaks of {subjects_in_all}")
    for path in arguments.paths:
        print(f"{path}: {'NOT one of them, byte for byte' if path in wrong else 'one of them'}")
    return 1 if wrong else 0
