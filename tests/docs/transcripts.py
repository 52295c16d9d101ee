"""Transcripts of a terminal: commands after ``$``, and what they print."""

import re
import shlex
from dataclasses import dataclass

#: What differs between two runs, and what stands in its place where outputs are compared.
_VARYING = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:[\d.]+)?Z?", "<time>"),
    (r"\b(sha256:)?[0-9a-f]{7,64}\b(?<=[0-9a-f]{7})", "<digest>"),
    (r"Python \d[\d.]*", "Python <version>"),
    (r"torch \d[\w.+]*", "torch <version>"),
    (r"(?m)on \S+ \([^)]*\)$", "on <machine>"),
    (r"\b\d+(\.\d+)? s\b", "<seconds>"),
    (r"code: \d+ files", "code: <number> files"),
]
_NUMBER = r"\d[\d,]*(\.\d+)?(e[+-]?\d+)?"


@dataclass(frozen=True)
class Call:
    """A command of a block and the output that is printed below it.

    Attributes:
        line: number of the command's first line in the page, from 1.
        end: number of the line after its output.
        command: the command, its continued lines included.
        output: what the page says that it prints; None in a block without prompts.
    """

    line: int
    end: int
    command: str
    output: str | None


def read_calls(text: str, first_line: int, *, has_prompts: bool) -> list[Call]:
    """Return the calls of a block; without prompts every line is a command."""
    lines = text.splitlines()
    starts = [
        index
        for index, line in enumerate(lines)
        if (line.startswith("$ ") if has_prompts else _starts_a_command(lines, index))
    ]
    calls = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        command = "\n".join(lines[start : last + 1])
        output = "\n".join(lines[last + 1 : end]).strip("\n") if has_prompts else None
        command = command.removeprefix("$ ") if has_prompts else command
        calls.append(Call(first_line + start, first_line + end, command, output))
    return calls


def _starts_a_command(lines: list[str], index: int) -> bool:
    continued = index > 0 and lines[index - 1].endswith("\\")
    return bool(lines[index].strip()) and lines[index][0] != "#" and not continued


def matches(expected: str, printed: str, *, numbers_vary: bool = False) -> bool:
    """Return whether an output is as expected; ``...`` stands for anything."""
    expected, printed = (
        _with_placeholders(text, numbers_vary=numbers_vary) for text in (expected, printed)
    )
    pattern = re.escape(expected).replace(r"\.\.\.", ".*?")
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def _with_placeholders(text: str, *, numbers_vary: bool) -> str:
    for pattern, placeholder in _VARYING:
        text = re.sub(pattern, placeholder, text)
    if numbers_vary:
        text = re.sub(_NUMBER, "<number>", text)
        text = re.sub(r"[━╸]+", "", text)
        text = re.sub(r"-{2,}", "--", re.sub(r" +", " ", text))
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def words_of(command: str) -> list[list[str]]:
    """Return the words of every simple command of a command line."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    parts: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();|&"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [_without_assignments(part) for part in parts if part]


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words
