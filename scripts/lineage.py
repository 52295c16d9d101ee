"""Ask what made a result, and what a row, a shard or a file has reached.

Every run of the workflow leaves records below results/<dataset>/lineage/; this program reads them.

  explain PATH      the tree upstream of a result, down to the source of its rows
  impact ...        everything downstream of rows, a shard, a digest or a file
  verify [PATH]     compares the disk with the records, and says which models are touched
  withdraw, restore rows that no split may use any more; the next snakemake trains without them
  diff A [B]        what differs between two results, or two runs of one: why a job ran again
  log [PATH]        the history, also of what has been overwritten since

Paths are seen from the folder that the workflow runs in. `lineage.py COMMAND --help` has more.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from memtrain.config_file import read_configuration
from memtrain.errors import UserError, listed
from memtrain.lineage.difference import GROUPS, difference
from memtrain.lineage.explanation import Origin, explain, short
from memtrain.lineage.finding import find_run, find_version, runs_that_wrote
from memtrain.lineage.history import history, reason_of
from memtrain.lineage.impact import Impact, Reached
from memtrain.lineage.index import LineageIndex
from memtrain.lineage.privacy import Privacy
from memtrain.lineage.verification import Verifier, shard_rows
from memtrain.lineage.withdrawing import keep_record, models_with, restore, withdraw
from memtrain.program import argument_parser, run
from memtrain.ranges import Range, overlaps
from memtrain.results_folder import only_results
from memtrain.withdrawals import WITHDRAWALS_FILE, Withdrawal, read_withdrawals

EXIT_STATUS = """\
exit status: 0 nothing found wrong; 1 a finding (a difference, a file that is not what was recorded,
a record that cannot be read); 2 the command line is wrong."""


class Question:
    """A command line, and what is needed to answer it."""

    def __init__(self, arguments: argparse.Namespace):
        self.arguments, self.project = arguments, Path.cwd()
        self.results = Path(arguments.results) if arguments.results else only_results("results")
        self.index = LineageIndex(self.results / "lineage")
        self.data = Privacy(self.project).path(self.results / "data.npy")
        for damaged in self.index.damaged:
            print(f"warning: {damaged}", file=sys.stderr)

    @property
    def dataset(self) -> str:
        """The name of the dataset."""
        return read_configuration(self.results / "config.yaml").dataset.name

    @property
    def withdrawals(self) -> list[Withdrawal]:
        """Of the dataset."""
        return read_withdrawals(self.project / WITHDRAWALS_FILE, self.dataset)

    def rows(self) -> Range:
        """The rows that the command line names, or those of the shard that it names."""
        if self.arguments.shard is not None:
            return shard_rows(self.results, self.arguments.shard)
        return self.arguments.rows

    def answer(self, content: Any, lines: Iterable[str], is_fine: bool = True) -> int:
        """Print the answer, and return the exit status."""
        if self.arguments.json:
            print(json.dumps(as_json(content), indent=1))
        else:
            print("\n".join(lines))
        return 0 if is_fine and not self.index.damaged else 1


def as_json(content: Any) -> Any:
    """Return dataclasses as mappings, at any depth."""
    if is_dataclass(content):
        return as_json(asdict(content))
    if isinstance(content, dict):
        return {name: as_json(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [as_json(value) for value in content]
    return content


def parse_rows(text: str) -> Range:
    """Return "A:B" as the rows [A, B), and "A" as that one row."""
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    rows = match and Range(int(match[1]), int(match[2]) if match[2] else int(match[1]) + 1)
    if not rows or rows.rows <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not START:END with START before END")
    return rows


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
    return [*lines, f"{len(reached)} files, {len(models)} of them models"]


def verify(question: Question) -> int:
    """Compare the disk with the records."""
    verifier = Verifier(
        question.index,
        question.project,
        question.data,
        question.withdrawals,
        question.arguments.quick,
    )
    result = verifier.verify(question.arguments.paths)
    lines = [f"{one.kind}: {one.message}" for one in result.findings]
    if result.reached:
        lines.append(f"models reached by corrupt rows: {listed(result.reached)}")
    if result.cleared:
        lines.append(f"models whose rows are as they were: {listed(result.cleared)}")
    how = "by size and time" if question.arguments.quick else "byte by byte"
    lines.append(f"{len(result.checked)} files compared {how}, {len(result.findings)} findings")
    return question.answer(result, lines, is_fine=not result.findings)


def withdraw_rows(question: Question) -> int:
    """Withdraw rows, and say which models hold them."""
    rows, file = question.rows(), question.project / WITHDRAWALS_FILE
    data = question.project / question.data
    added = withdraw(file, question.dataset, data, rows, question.arguments.reason)
    keep_record(question.results / "lineage", "withdraw", [added])
    models = models_with(question.index, question.data, [rows])
    lines = [f"rows {rows} are withdrawn ({WITHDRAWALS_FILE}); commit that file"]
    lines += [f"holds them: {one.path}" for one in models]
    lines.append(f"{len(models)} models hold them; snakemake trains exactly these without them")
    return question.answer({"withdrawal": added.model_dump(), "models": models}, lines)


def restore_rows(question: Question) -> int:
    """Take withdrawals back."""
    file = question.project / WITHDRAWALS_FILE
    taken_back = restore(file, question.dataset, question.rows())
    keep_record(question.results / "lineage", "restore", taken_back)
    lines = [f"rows {one.range} may be used again ({one.reason})" for one in taken_back]
    return question.answer([one.model_dump() for one in taken_back], lines)


def show_difference(question: Question) -> int:
    """Print what differs between two runs."""
    index, project, arguments = question.index, question.project, question.arguments
    first, second = arguments.a, arguments.b
    if second is None:
        path = Privacy(project).path(first)
        if len(runs_that_wrote(index, path)) < 2:
            raise UserError(f"{first}: only one recorded run wrote it, so there is nothing before.")
        first, second = f"{path}~1", path
    before, after = (index.record_of(find_run(index, project, one)) for one in (first, second))
    changes = difference(before, after, Path(__file__).resolve().parents[1])
    lines = [f"{before.name} {before.started_at} -> {after.name} {after.started_at}"]
    reason = reason_of(index, after)
    if reason:
        lines.append(f"the later one ran for: {reason}")
    for group in GROUPS:
        if changes[group]:
            lines.append(f"{group}:")
        for change in changes[group]:
            lines += [f"  {change}", *(f"      {line}" for line in change.lines)]
    if not any(changes.values()):
        lines.append("nothing differs")
    content = {"before": before.run_id, "after": after.run_id, "reason": reason, **changes}
    return question.answer(content, lines, is_fine=not any(changes.values()))


def show_history(question: Question) -> int:
    """Print the history of all runs, or of one file."""
    path = question.arguments.path
    name = None if path is None else find_version(question.index, question.project, path).path
    entries = history(question.index, name)
    lines = []
    for entry in entries:
        seconds = "" if entry.seconds is None else f"  {entry.seconds:.1f} s"
        why = entry.message or entry.reason or ""
        lines.append(f"{entry.started_at[:19]}Z  {entry.state:9}  {entry.name}{seconds}")
        lines += [f"    {part}" for part in (entry.run_id, why) if part]
        overwritten = [path for path, is_last in entry.written.items() if not is_last]
        if overwritten:
            lines.append(f"    overwritten since: {listed(overwritten, 6)}")
    return question.answer(entries, [*lines, f"{len(entries)} runs"])


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments; ``command`` is the function that answers."""
    parser = argument_parser(__doc__, exit_status=EXIT_STATUS)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--results", help="results/<dataset>; the only one there is unless given")
    shared.add_argument("--json", action="store_true", help="print JSON, for programs")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[shared], help=text, description=text)
        added.set_defaults(command=function)
        return added

    one = command("explain", explain_result, "the tree upstream of a result")
    one.add_argument("path", help="of the result")
    one = command("impact", show_impact, "everything downstream of rows, a digest or a file")
    what = add_rows(one)
    what.add_argument("--digest", help="of a shard, of exactly the rows of a piece, or of a file")
    what.add_argument("--file", help="any file that a run has read or written")
    one.add_argument("--all", action="store_true", help="also what has been overwritten since")
    one.add_argument(
        "--targets", action="store_true", help="print what to hand to snakemake to make them anew"
    )
    one = command("verify", verify, "compare the disk with the records")
    one.add_argument("paths", nargs="*", metavar="PATH", help="files; all unless given")
    one.add_argument("--quick", action="store_true", help="sizes and times of modification alone")
    one = command("withdraw", withdraw_rows, "rows that no split may use any more")
    add_rows(one)
    one.add_argument("--reason", required=True, help="kept beside the rows")
    one = command("restore", restore_rows, "take a withdrawal back")
    add_rows(one)
    one = command("diff", show_difference, "what differs between two results or two runs")
    one.add_argument("a", help="a result, the id of a run, or PATH~1 for the run before the last")
    one.add_argument("b", nargs="?", help="another; unless given, the last two runs of A")
    one = command("log", show_history, "the history")
    one.add_argument("path", nargs="?", help="of a file; all runs unless given")
    return parser.parse_args(argv)


def add_rows(parser: argparse.ArgumentParser) -> Any:
    """Add the options that name rows; one of the group is needed."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--rows", type=parse_rows, metavar="A:B", help="rows A to B-1")
    group.add_argument("--shard", type=int, metavar="N", help="the rows of a shard, by its number")
    return group


def main(argv: list[str] | None = None) -> int:
    """Answer one question."""
    arguments = parse_arguments(argv)
    try:
        return arguments.command(Question(arguments))
    except UserError as error:
        for problem in error.problems:
            print(f"lineage.py: error: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    run(main)
