"""The list of the code that no result depends on, from the package itself."""

from pathlib import Path

from memtrain.workflow.result_code import UNRELATED_CODE

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def outside_list() -> str:
    """Return the folders and files, as a Markdown list."""
    there = [name for name in UNRELATED_CODE if (SCRIPTS / name).exists()]
    return "\n".join(f"- `{name}`" for name in there) + "\n"
