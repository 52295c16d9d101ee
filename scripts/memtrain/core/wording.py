"""Phrases that messages share: counts with their noun, lists, and the word that was meant."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the known word that is most similar, or an empty string."""
    nearest = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def counted(number: int, noun: str) -> str:
    """Return "1 file" or "2 files" for the noun "file"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Iterable[object], limit: int = 20) -> str:
    """Return the words as "a, b, c"; after ``limit`` words, only how many more there are."""
    texts = [str(word) for word in words]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")
