"""The page of the command lines, from the parsers of the scripts."""

from docs.generate.command_help import SCRIPTS, help_text, sub_commands

#: In the order of the workflow; any other script follows.
_ORDER = (
    "memtrain_command",
    "status",
    "lineage",
    "clean",
    "check_components",
    "describe_table",
    "generate_data",
    "import_data",
    "describe_files",
    "index_shards",
    "resolve_splits",
    "train",
    "evaluate",
    "predict",
    "export",
    "draw",
    "summarize",
)


def command_lines_page() -> str:
    """Return the page, as Markdown."""
    parts = []
    for script in _scripts():
        parts.append(f"## {script}.py\n\n{_fenced(help_text(script))}")
        for command in sub_commands(script):
            parts.append(f"### {script}.py {command}\n\n{_fenced(help_text(script, command))}")
    return "\n".join(parts)


def _scripts() -> list[str]:
    there = {path.stem for path in SCRIPTS.glob("*.py")}
    return [name for name in _ORDER if name in there] + sorted(there - set(_ORDER))


def _fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"
