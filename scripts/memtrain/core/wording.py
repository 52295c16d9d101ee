"""Phrases that messages share: counts with a noun, lists, durations, corrections of a word."""

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
    """Return the words as "a, b, c"; of more than ``limit`` words, the rest as "and 5 more"."""
    texts = [str(word) for word in words]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")


def duration_text(seconds: float) -> str:
    """Return a number of seconds as "2:03", minutes and seconds, or "1:02:03" with hours."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
