"""Where the files of the workflow lie: the Snakefile, its rules, and the scripts."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def workflow_folder() -> Path:
    """Return the folder that holds ``Snakefile``, ``rules/``, ``scripts/``, ``profiles/``.

    In a checkout, the package lies in its ``scripts/``; a wheel carries the files in the package.
    """
    carried = _PACKAGE / "carried"
    return carried if carried.is_dir() else _PACKAGE.parent.parent


def script_file(name: str) -> Path:
    """Return the file of a script."""
    return workflow_folder() / "scripts" / f"{name}.py"
