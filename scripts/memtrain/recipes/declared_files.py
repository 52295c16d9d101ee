"""Files besides the rows that a training reads, as its settings declare them, and their digests."""

import os
from collections.abc import Callable, Sequence

from memtrain.core.errors import UserError, raise_problems
from memtrain.recipes.recipe import TrainingRecipe
from memtrain.system.digests import digest_of_file


def digests_of_files(
    where: str, paths: Sequence[str], digest_of: Callable[[str], str]
) -> dict[str, str]:
    """Return the digests of declared files, by path.

    Args:
        where: key of the settings that declare them, for error messages.
        paths: the files.
        digest_of: returns the digest of a file.

    Raises:
        UserError: with every file that is missing or cannot be read.
    """
    problems: list[str] = []
    digests: dict[str, str] = {}
    for path in paths:
        if not os.path.isfile(path):
            problems.append(
                f"{where}: {path} is no file. Paths of `reads` and `initial` are those of files, "
                "seen from the project's folder."
            )
            continue
        try:
            digests[path] = digest_of(path)
        except (UserError, OSError) as error:
            problems.append(f"{where}: {error}")
    raise_problems(problems)
    return digests


def check_files(recipe: TrainingRecipe, paths: Sequence[str]) -> None:
    """Refuse declared files whose bytes are not those that the recipe names.

    Args:
        recipe: training part of a recipe.
        paths: those of its declared files that are about to be read.

    Raises:
        UserError: with every file that has changed since the recipe was made.
    """
    found = digests_of_files("training", paths, digest_of_file)
    raise_problems(
        f"{path}: this file, which the training reads, has changed since the recipe was made. Run "
        "snakemake, which makes the recipe again."
        for path in paths
        if found[path] != recipe.files[path]
    )
