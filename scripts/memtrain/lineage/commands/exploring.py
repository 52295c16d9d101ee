"""explain and impact: what lies upstream of a result, and what downstream of rows and files."""

from collections.abc import Iterable

from memtrain.core.ranges import overlaps
from memtrain.core.wording import counted
from memtrain.lineage.commands.base import Commands, Question, add_rows
from memtrain.lineage.queries.explain import Origin, explain, short
from memtrain.lineage.queries.impact import Impact, Reached
from memtrain.lineage.queries.lookup import find_version
from memtrain.recipes.withdrawals import Withdrawal


def add_commands(commands: Commands) -> None:
    """Add explain and impact."""
    one = commands.question("explain", explain_result, "the tree upstream of a result")
    one.add_argument("path", help="of the result")
    one = commands.question(
        "impact", show_impact, "everything downstream of rows, a digest or a file"
    )
    what = add_rows(one)
    what.add_argument("--digest", help="of a shard, of exactly the rows of a piece, or of a file")
    what.add_argument("--file", help="any file that a run has read or written")
    one.add_argument("--all", action="store_true", help="also what has been overwritten since")
    one.add_argument(
        "--targets", action="store_true", help="print what to hand to snakemake to make them anew"
    )


def explain_result(question: Question) -> int:
    """Print the tree upstream of a result."""
    found = find_version(question.index, question.project, question.arguments.path)
    tree = explain(question.index, found.version)
    withdrawn = withdrawn_rows(tree, question.withdrawals)
    notes = [f"note: {found.note}"] if found.note else []
    notes += [f"WITHDRAWN: rows {one.range} are in it ({one.reason})" for one in withdrawn]
    content = {
        "tree": tree,
        "note": found.note,
        "withdrawn": [one.model_dump() for one in withdrawn],
    }
    return question.answer(content, [*notes, *tree.lines()], is_fine=not notes)


def withdrawn_rows(tree: Origin, withdrawals: Iterable[Withdrawal]) -> list[Withdrawal]:
    """Return the withdrawals whose rows a result was made from."""
    used, left = [], [tree]
    while left:
        origin = left.pop()
        used += origin.rows
        left += origin.inputs
    return [one for one in withdrawals if list(overlaps(used, [one.range]))]


def show_impact(question: Question) -> int:
    """Print what lies downstream."""
    arguments = question.arguments
    if arguments.digest is not None:
        reached = Impact(question.index).of_digest(arguments.digest)
    elif arguments.file is not None:
        path = find_version(question.index, question.project, arguments.file).path
        reached = Impact(question.index, follows_all=True).of_file(path)
    else:
        reached = Impact(question.index).of_rows(question.data, [question.rows()])
    if not arguments.all:
        reached = [one for one in reached if one.is_current]
    if arguments.targets:
        return question.answer(targets(reached), [" ".join(["--forcerun", *targets(reached)])])
    return question.answer(reached, lines_of_impact(reached))


def targets(reached: Iterable[Reached]) -> list[str]:
    """Return one file of every job that is reached: what to hand to ``--forcerun``."""
    by_job: dict[str, str] = {}
    for one in reached:
        by_job.setdefault(one.job, one.path)
    return sorted(by_job.values())


def lines_of_impact(reached: list[Reached]) -> list[str]:
    """Return a line a file, by depth."""
    if not reached:
        return ["nothing: no recorded run has used it"]
    lines, job = [], None
    for one in reached:
        if one.job != job:
            lines.append(f"{one.depth}  {one.job}, through {one.through}")
            job = one.job
        age = "" if one.is_current else "  (overwritten since)"
        lines.append(f"       {one.path}  {short(one.digest)}{age}")
    models = [one.path for one in reached if one.role == "model"]
    return [*lines, f"{counted(len(reached), 'file')}, {len(models)} of them models"]
