"""Signs in-toto statements with an Ed25519 or ECDSA key, in a DSSE envelope."""

import json
import os
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.lineage.export.optional import require
from memtrain.lineage.export.slsa import PAYLOAD_TYPE, STATEMENT_TYPE
from memtrain.system import canonical_json
from memtrain.system.atomic_files import write_text
from memtrain.system.file_content import read_bytes


def make_key(private: Path) -> Path:
    """Write a new Ed25519 key that only its owner can read, and its public key.

    Args:
        private: the file of the private key.

    Returns:
        The file of the public key: the same name with the suffix ".pub".

    Raises:
        UserError: where one of the files exists already.
    """
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519")
    serialization = require("cryptography.hazmat.primitives.serialization")
    public = private.with_name(f"{private.name}.pub")
    for path in (private, public):
        if path.exists():
            raise UserError(f"{path}: this file exists already, and a key is never overwritten.")
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # The file has these permissions from the start, so that nobody else can ever read it.
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    content = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_text(public, content.decode())
    return public


def sign(statement: Path, key: Path) -> None:
    """Replace a statement by a signed envelope that holds it.

    If the file is a signed envelope already, one more signature is added.

    Args:
        statement: the file of the statement or the envelope.
        key: the file of the private key, PEM without a password.

    Raises:
        UserError: where the file is not a statement, or the key cannot be read.
    """
    dsse = require("securesystemslib.dsse")
    serialization = require("cryptography.hazmat.primitives.serialization")
    signing = require("securesystemslib.signer")
    try:
        loaded = serialization.load_pem_private_key(_read(key), password=None)
        signer = signing.CryptoSigner(loaded)
    except (ValueError, TypeError, require("securesystemslib.exceptions").Error) as error:
        raise UserError(
            f"{key}: this is not a private key ({error}). It has to be a PEM file "
            "without a password; `lineage.py sign --new-key FILE` makes one."
        ) from None
    content = _json(statement)
    if "payload" in content:
        envelope = _envelope(dsse, statement, content)
    else:
        envelope = dsse.Envelope(_read(statement), PAYLOAD_TYPE, {})
        _check_statement(statement, content)
    envelope.sign(signer)
    write_text(statement, json.dumps(envelope.to_dict(), indent=1) + "\n")


def verified_statement(envelope: Path, public_key: Path) -> dict[str, Any] | None:
    """Return the statement in an envelope; None where the key has not signed it.

    Args:
        envelope: the file of the envelope.
        public_key: the file of the public key.

    Raises:
        UserError: where a file is not an envelope with a statement, or not a public key.
    """
    dsse = require("securesystemslib.dsse")
    exceptions = require("securesystemslib.exceptions")
    serialization = require("cryptography.hazmat.primitives.serialization")
    signing = require("securesystemslib.signer")
    try:
        public = signing.SSlibKey.from_crypto(serialization.load_pem_public_key(_read(public_key)))
    except (ValueError, TypeError, exceptions.Error) as error:
        raise UserError(
            f"{public_key}: this is not a public key ({error}). `lineage.py sign --new-key FILE` "
            "writes it to FILE.pub."
        ) from None
    found = _envelope(dsse, envelope, _json(envelope))
    try:
        found.verify([public], 1)
    except exceptions.VerificationError:
        return None
    content = canonical_json.parse(found.payload)
    if found.payload_type != PAYLOAD_TYPE:
        raise UserError(f"{envelope}: it holds {found.payload_type!r}, not {PAYLOAD_TYPE!r}.")
    _check_statement(envelope, content)
    return content


def _envelope(dsse: Any, path: Path, content: dict[str, Any]) -> Any:
    try:
        return dsse.Envelope.from_dict(content)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: this is not a signed statement ({error!r}).") from None


def _check_statement(path: Path, content: dict[str, Any]) -> None:
    if content.get("_type") != STATEMENT_TYPE:
        raise UserError(
            f"{path}: this is not an in-toto statement; `lineage.py export slsa FILE` writes one."
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = canonical_json.parse(_read(path))
    except ValueError as error:
        raise UserError(f"{path}: this is not JSON ({error}).") from None
    return content if isinstance(content, dict) else {}


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise UserError(f"{path}: this file cannot be read ({error.strerror}).") from None
