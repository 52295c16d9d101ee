"""verify, withdraw and restore: whether the rows are what they were, and which may be used."""

import sys
from collections.abc import Sequence

from memtrain.core.wording import counted, listed
from memtrain.lineage.commands.base import Commands, Question, add_rows
from memtrain.lineage.queries.verify import Verification, Verifier, keep_verification
from memtrain.lineage.queries.withdraw import keep_record, models_with, restore, withdraw
from memtrain.recipes.withdrawals import WITHDRAWALS_FILE


def add_commands(commands: Commands) -> None:
    """Add verify, withdraw and restore."""
    one = commands.question("verify", verify, "compare the disk with the records")
    one.add_argument("paths", nargs="*", metavar="PATH", help="files; all unless given")
    one.add_argument("--quick", action="store_true", help="sizes and times of modification alone")
    one = commands.question("withdraw", withdraw_rows, "rows that no split may use any more")
    add_rows(one)
    one.add_argument("--reason", required=True, help="kept beside the rows")
    one = commands.question("restore", restore_rows, "take a withdrawal back")
    add_rows(one)


def verify(question: Question) -> int:
    """Compare the disk with the records."""
    result = compared(question, question.arguments.paths, question.arguments.quick)
    lines = [f"{one.kind}: {one.message}" for one in result.findings]
    if result.reached:
        lines.append(f"models reached by corrupt rows: {listed(result.reached)}")
    if result.cleared:
        lines.append(f"models whose rows are as they were: {listed(result.cleared)}")
    how = "by size and time" if question.arguments.quick else "byte by byte"
    files, findings = counted(len(result.checked), "file"), counted(len(result.findings), "finding")
    lines.append(f"{files} compared {how}, {findings}")
    return question.answer(result, lines, is_fine=not result.findings)


def compared(question: Question, paths: Sequence[str] = (), quick: bool = False) -> Verification:
    """Compare files with the records; what is found on all, byte by byte, is recorded."""
    if not paths and not quick:
        question.index = question.index.anew_if_damaged()
    verifier = Verifier(
        question.index, question.project, question.data, question.withdrawals, quick
    )
    result = verifier.verify(paths)
    if not paths and not quick:
        try:
            keep_verification(question.results.records, result)
        except OSError as error:
            print(f"warning: what was found cannot be recorded ({error}).", file=sys.stderr)
    return result


def withdraw_rows(question: Question) -> int:
    """Withdraw rows, and say which models hold them."""
    rows, file = question.rows(), question.project / WITHDRAWALS_FILE
    data = question.project / question.data
    added = withdraw(file, question.dataset, data, rows, question.arguments.reason)
    keep_record(question.results.records, "withdraw", [added])
    models = models_with(question.index, question.data, [rows])
    lines = [f"rows {rows} are withdrawn ({WITHDRAWALS_FILE}); commit that file"]
    lines += [f"holds them: {one.path}" for one in models]
    lines.append(
        f"held by {counted(len(models), 'model')}; snakemake trains exactly these without them"
    )
    return question.answer({"withdrawal": added.model_dump(), "models": models}, lines)


def restore_rows(question: Question) -> int:
    """Take withdrawals back."""
    file = question.project / WITHDRAWALS_FILE
    taken_back = restore(file, question.dataset, question.rows())
    keep_record(question.results.records, "restore", taken_back)
    lines = [f"rows {one.range} may be used again ({one.reason})" for one in taken_back]
    return question.answer([one.model_dump() for one in taken_back], lines)
