"""Finds the results of a dataset."""

from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import listed


def only_results(folder: str | Path) -> Path:
    """Return the only dataset below a folder.

    Raises:
        UserError: where there is none, or several.
    """
    found = sorted(path.parent for path in Path(folder).glob("*/config.yaml"))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{folder} has several datasets; name one of {listed(found)}.")
    raise UserError(
        f"{folder}/<dataset>/config.yaml: there is none here. The workflow writes it when it "
        "starts; name the folder of a dataset, or run this where `results` lies."
    )
