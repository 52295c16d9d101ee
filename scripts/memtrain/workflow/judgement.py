"""What was found when a result was compared with what it would be made from today."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What has changed, by the name that ``data.made_from`` gives to the digest.
_CHANGES = {
    "code": "code changed",
    "data": "rows changed",
    "evaluation": "evaluation changed",
    "evaluations": "evaluations changed",
    "histories": "histories changed",
    "files": "imported files changed",
    "history": "history changed",
    "initial": "the model that it starts from changed",
    "validation": "validations changed",
    "manifest": "manifest changed",
    "model": "model changed",
    "packages": "packages changed",
    "predictions": "predictions changed",
    "reads": "files that the training reads changed",
    "recipe": "rows or settings changed",
    "settings": "settings changed",
    "source": "source of the rows changed",
    "recipes": "recipes changed",
    "withdrawals": "withdrawals changed",
}


@dataclass(frozen=True)
class Judgement:
    """Whether a result is current.

    Attributes:
        reasons: why it is not; empty where it is.
        notes: what users are told of a result, but does not make it stale.
    """

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether the result is what would be made today."""
        return not self.reasons


def changes(found: Mapping[str, Any], today: Mapping[str, str | None]) -> list[str]:
    """Return what has changed since a result was made.

    Args:
        found: what it was made from, digests by their names.
        today: what it would be made from; a digest that is not known (None) counts as the same.
    """
    return [
        change_of(name)
        for name, digest in today.items()
        if digest is not None and found.get(name) != digest
    ]


def change_of(name: str) -> str:
    """Return the reason where the digest of a name has changed."""
    return _CHANGES.get(name, f"{name} changed")


def first_reasons(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return the reasons of the first group that has any: the later ones follow from them."""
    for group in groups:
        if found := tuple(group):
            return found
    return ()
