"""``withdrawals.d``: keyed digests of the values of withdrawn rows, and their key.

For each withdrawal a file holds one digest of 64 bits for every row and column of the source: so
the rows can be found wherever they lie, and nobody learns a value from the file, as long as the key
is not known. The files belong under version control; the key does not, and a ``.gitignore`` in the
folder says so. Without the key, rows that have moved are not found, and nothing takes its place:
copy it to every machine that makes recipes, and keep it as long as the withdrawals.
"""

import hashlib
import io
import logging
import os
import secrets
from pathlib import Path

import numpy as np

from memtrain.core.errors import UserError
from memtrain.recipes.withdrawals import Withdrawal, WithdrawnValues
from memtrain.system.atomic_files import temporary_file, write_bytes, write_text
from memtrain.system.digests import digest_of_file
from memtrain.system.file_content import open_file, read_bytes
from memtrain.system.writing_errors import told_in_a_sentence

_FOLDER = "withdrawals.d"
_KEY_BYTES = 32

_log = logging.getLogger(__name__)


class ValuesFolder:
    """The folder of the values of withdrawn rows.

    Args:
        withdrawals_file: ``withdrawals.yaml``; the folder lies beside it.
    """

    def __init__(self, withdrawals_file: str | os.PathLike):
        self._folder = Path(withdrawals_file).parent / _FOLDER
        self._key_file = self._folder / "key"

    def key(self, values: WithdrawnValues) -> bytes:
        """Return the key of some digests.

        Raises:
            UserError: where the key is missing, or is another one.
        """
        key = self._read_key()
        if key is None or _name_of(key) != values.key:
            found = "is missing" if key is None else f"is another key ({_name_of(key)})"
            raise UserError(
                f"{self._key_file}: the key of withdrawn rows {found}, so that rows that have "
                f"moved cannot be found. Copy the key {values.key} from where the rows were "
                "withdrawn. If it is lost, run `lineage.py restore`, and withdraw the rows where "
                "they lie now."
            )
        return key

    def key_for_more(self, before: list[Withdrawal]) -> bytes:
        """Return the key for one more withdrawal; it is created for the first one.

        Args:
            before: the withdrawals that there are.

        Raises:
            UserError: where these have a key that is missing.
        """
        for one in before:
            if one.values is not None:
                return self.key(one.values)
        return self._read_key() or self._create_key()

    def write(self, columns: list[str], digests: np.ndarray, key: bytes) -> WithdrawnValues:
        """Write the digests of the values of rows, and return how they are found again.

        Args:
            columns: the columns.
            digests: uint64 (rows, columns).
            key: the key of the digests.
        """
        content = io.BytesIO()
        np.save(content, digests.astype("<u8"))
        digest = f"sha256:{hashlib.sha256(content.getbuffer()).hexdigest()}"
        values = WithdrawnValues(columns=columns, key=_name_of(key), digest=digest)
        write_bytes(self._path(values.digest), content.getvalue())
        return values

    def read(self, values: WithdrawnValues) -> np.ndarray:
        """Return the digests of the values of rows, uint64 (rows, columns).

        Raises:
            UserError: where the file is missing or has changed.
        """
        path = self._path(values.digest)
        if not path.exists() or digest_of_file(path) != values.digest:
            state = "it has changed" if path.exists() else "there is no such file"
            raise UserError(
                f"{path}: {state}. It holds digests of withdrawn rows; bring back the last "
                "committed version."
            )
        with open_file(path) as file:
            return np.load(file, allow_pickle=False)

    def remove(self, digest: str) -> None:
        """Remove the digests of rows that may be used again.

        Args:
            digest: digest of the file, as ``WithdrawnValues`` has it.
        """
        path = self._path(digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning(f"{path}: it is not needed any more and cannot be removed: {error}.")

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix('sha256:')[:16]}.npy"

    def _read_key(self) -> bytes | None:
        try:
            key = bytes.fromhex(read_bytes(self._key_file).decode())
            if len(key) == _KEY_BYTES:
                return key
            problem = f"it has {len(key)} bytes of {_KEY_BYTES}"
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            problem = str(error)
        raise UserError(
            f"{self._key_file}: this is not the key of withdrawn rows as it was written "
            f"({problem}). Bring back a copy of it."
        )

    def _create_key(self) -> bytes:
        key = secrets.token_bytes(_KEY_BYTES)
        # Before the key: whoever commits in the next moment does not commit the key.
        write_text(self._folder / ".gitignore", f"/{self._key_file.name}\n")
        with told_in_a_sentence(self._key_file), temporary_file(self._key_file) as (file, name):
            os.fchmod(file.fileno(), 0o600)
            file.write(f"{key.hex()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
            os.link(name, self._key_file)  # Unlike a rename, it replaces no other key.
        return key


def _name_of(key: bytes) -> str:
    """Return the name of a key, from which nobody learns the key."""
    return hashlib.blake2b(b"name", key=key, digest_size=8).hexdigest()
