"""Settings that are proposed, each with the reason for it, and how they are written as YAML."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

#: Most characters of a line.
_WIDTH = 100

#: Column in which comments begin, where what they explain is shorter.
_COMMENT_COLUMN = 40


@dataclass(frozen=True)
class Setting:
    """A key of the configuration with the value that is proposed.

    Attributes:
        key: its key.
        value: what YAML can hold, written in one line; or a tuple of settings, which stand below.
        why: why this value was chosen, in a few words; "" for no comment.
    """

    key: str
    value: "Any | tuple[Setting, ...]"
    why: str = ""


def settings_text(settings: Sequence[Setting], heading: str) -> str:
    """Return settings as commented YAML.

    Args:
        settings: the settings of the top level.
        heading: what the comment at the top says.
    """
    lines = list(_comment(heading, ""))
    for setting in settings:
        lines += ["", *_lines(setting, "")]
    return "\n".join([*lines, ""])


def _lines(setting: Setting, indent: str) -> Iterator[str]:
    """Yield the lines of a setting, with its reason behind it or, where it is long, above it."""
    below = isinstance(setting.value, tuple)
    first, *others = [f"{setting.key}:"] if below else _flow(setting, indent)
    behind = f"{indent + first:{_COMMENT_COLUMN}}  # {setting.why}"
    fits = not others and len(behind) <= _WIDTH
    if setting.why and not fits:
        yield from _comment(setting.why, indent)
    yield behind if setting.why and fits else indent + first
    yield from (f"{indent}    {line.strip()}" for line in others)
    if below:
        for one in setting.value:
            yield from _lines(one, indent + "  ")


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 2, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _flow(setting: Setting, indent: str) -> list[str]:
    """Return a key with its value as YAML, in as few lines as fit the width."""
    lines: list[str] = []
    # PyYAML breaks a line after the word that goes beyond the width.
    for spare in range(0, _WIDTH // 2, 4):
        text = yaml.safe_dump(
            setting.value,
            default_flow_style=True,
            sort_keys=False,
            allow_unicode=True,
            width=_WIDTH - len(indent) - len(setting.key) - 2 - spare,
        )
        lines = f"{setting.key}: {text.strip().removesuffix('...').strip()}".splitlines()
        if all(len(indent) + 4 + len(line.strip()) <= _WIDTH for line in lines[1:]) and (
            len(indent) + len(lines[0]) <= _WIDTH
        ):
            break
    return lines
