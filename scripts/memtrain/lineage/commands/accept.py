"""The command ``accept``: results stand although other code or packages made them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from memtrain.core.errors import UserError
from memtrain.core.wording import listed, readable
from memtrain.data.made_from import Statement, packages_text, statement_in
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.records.run_record import RunRecord, utc_now
from memtrain.lineage.records.user_actions import finish_actions, recorded_action
from memtrain.recipes.acceptances import (
    ACCEPTED_FILE,
    Acceptance,
    read_acceptances,
    write_acceptances,
)
from memtrain.recipes.model_file import read_origin
from memtrain.system.sole_writer import sole_writer
from memtrain.workflow.today import Today

_DETAILS = f"""\
A new version of memtrain or of PyTorch is other code, which trains again. This command lets results
stand as they are until the code changes once more: {ACCEPTED_FILE} keeps which, and why; keep it
under version control. Results that are stale for other rows, settings or withdrawals are made again
all the same. --all accepts the rows, the manifest and the recipes as well, so that nothing is
imported again."""


@dataclass(frozen=True)
class _Result:
    """A result that may be accepted."""

    name: str
    statement: Statement
    code_today: str


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "accept", run, "let results stand although other code or packages made them", _DETAILS
    )
    parser.add_argument("splits", nargs="*", metavar="SPLIT", help="the splits to accept")
    parser.add_argument("--all", action="store_true", help="accept the results of all splits")
    parser.add_argument(
        "--reason",
        required=True,
        type=readable,
        help=f"the reason, which {ACCEPTED_FILE} keeps with the results",
    )


def run(query: Query) -> int:
    """Accept results, and print which."""
    today = query.today()
    configuration = today.configuration
    splits = _chosen(query, configuration.split_names)
    file, dataset = query.project / ACCEPTED_FILE, configuration.dataset.name
    added = [
        one
        for result in _results(today, splits, with_shared=query.arguments.all)
        for one in _acceptances(result, today, query.arguments.reason)
    ]
    if added:
        names = listed(sorted({one.result for one in added}))
        _accept(query, file, dataset, added, f"{names}: {query.arguments.reason}")
        lines = [
            f"accepted: {names}",
            f"commit {ACCEPTED_FILE}, which lists them; snakemake makes again what is stale for "
            "other reasons",
        ]
    else:
        lines = ["nothing to accept: all of these were made by the code and packages of today"]
    return query.answer([one.model_dump() for one in added], lines)


def _accept(query: Query, file: Path, dataset: str, added: list[Acceptance], message: str) -> None:
    """Write and record acceptances, and end the records of calls that were killed."""

    def is_done(record: RunRecord) -> bool:
        there = {(one.result, one.at) for one in read_acceptances(file, dataset)}
        recorded = record.details.get("acceptance", {}).get("acceptances", [])
        return {(one["result"], one["at"]) for one in recorded} <= there

    records, accepted = query.results.records, {one.result for one in added}
    facts = {"acceptances": [one.model_dump(mode="json") for one in added]}
    with sole_writer(file):
        finish_actions(records, ["accept"], is_done)
        before = read_acceptances(file, dataset)
        kept = [one for one in before if one.result not in accepted]
        with recorded_action(
            records, "accept", message, kind="acceptance", facts=facts, is_done=is_done
        ):
            write_acceptances(file, dataset, [*kept, *added])


def _chosen(query: Query, configured: list[str]) -> list[str]:
    """Return the splits that the command line names.

    Raises:
        UserError: if it names none, or one that is not configured.
    """
    chosen = query.arguments.splits
    if query.arguments.all:
        return configured
    if unknown := sorted(set(chosen) - set(configured)):
        raise UserError(f"no split is called {listed(unknown)}; there are {listed(configured)}.")
    if not chosen:
        raise UserError(f"name the splits to accept ({listed(configured)}), or use --all.")
    return chosen


def _results(today: Today, splits: list[str], with_shared: bool) -> Iterator[_Result]:
    """Yield the results that exist, of some splits and, if asked for, of the whole dataset."""
    results = today.results
    if with_shared:
        for rule, path in ((today.makes_rows, results.source), ("index_shards", results.manifest)):
            yield from _result(rule, statement_in(path), today.code(rule))
        for split in splits:
            statement = statement_in(results.split(split).recipe)
            code = today.code("resolve_splits", split)
            yield from _result(f"resolve_splits {split}", statement, code)
    for split in splits:
        files = results.split(split)
        statements: dict[str, Statement] = {"train": read_origin(files.model)}
        if split in today.evaluated_splits:
            statements["evaluate"] = statement_in(files.evaluation)
        for rule, statement in statements.items():
            yield from _result(f"{rule} {split}", statement, today.code(rule, split))


def _result(name: str, statement: Statement, code_today: str) -> Iterator[_Result]:
    if statement.made_from:
        yield _Result(name, statement, code_today)


def _acceptances(result: _Result, today: Today, reason: str) -> Iterator[Acceptance]:
    """Yield the acceptances of what differs in a result: the code, the packages, or both."""
    pairs = {"code": (result.statement.made_from.get("code", ""), result.code_today)}
    if result.statement.packages:
        pairs["packages"] = (packages_text(result.statement.packages), today.packages)
    for part, (made_by, stands_for) in pairs.items():
        if made_by != stands_for:
            yield Acceptance(
                result=result.name,
                part=part,
                made_by=made_by,
                stands_for=stands_for,
                reason=reason,
                at=utc_now(),
            )
