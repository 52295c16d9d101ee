"""What was made with the models that rows have reached: predictions and exported models."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.lineage.queries.impact import DownstreamFile

#: The roles of the files that hold predictions or an exported model, by the scripts.
_ROLES = {"predict": ("rows", "predictions"), "export": ("export",)}


@dataclass(frozen=True)
class MadeByModel:
    """A file that was made with a model.

    Attributes:
        path: the path of the file, relative to the project.
        digest: its digest.
        job: the run that wrote it, like "predict/first" or "export/first".
        through: the path of the input through which it comes from the rows.
        is_made_again: whether the next run of the workflow makes it again; otherwise someone has
            made it by hand.
    """

    path: str
    digest: str | None
    job: str
    through: str
    is_made_again: bool

    @property
    def script(self) -> str:
        """The script that wrote it: "predict" or "export"."""
        return self.job.partition("/")[0]


def made_by_models(
    files: Iterable[DownstreamFile], made_again: Collection[Path], project: Path
) -> list[MadeByModel]:
    """Return the predictions, then the exported models, among what lies downstream of rows.

    Args:
        files: what lies downstream, with the models that are on the disk.
        made_again: the files that the next run of the workflow makes.
        project: the folder of the project.
    """
    paths = {path.resolve() for path in made_again}
    made = [
        MadeByModel(
            one.path, one.digest, one.job, one.through, (project / one.path).resolve() in paths
        )
        for one in files
        if one.is_current and one.role in _ROLES.get(one.job.partition("/")[0], ())
    ]
    return sorted(made, key=lambda one: one.script == "export")


def lines_on_made_by_models(made: Iterable[MadeByModel]) -> Iterator[str]:
    """Yield a line for each file of predictions, and for each folder of an exported model."""
    told = set()
    for one in made:
        if one.script == "predict":
            again = (
                "the next run of snakemake makes it again"
                if one.is_made_again
                else "predict again, or remove it"
            )
            yield f"holds predictions for these rows, or by such a model: {one.path}; {again}"
        elif (folder := Path(one.path).parent) not in told:
            told.add(folder)
            what = (
                "with an evaluation on such rows"
                if Path(one.through).suffix == ".json"
                else "from such a model"
            )
            yield f"exported {what}: {folder}; export again, or remove it"
