"""Looks at a table and writes a configuration for it, with the reason for each choice."""

import argparse
import re
import sys
from dataclasses import replace
from glob import glob
from pathlib import Path

from memtrain.config.dataset import TwoPaths
from memtrain.config.parsing import parse_settings_text
from memtrain.config.reading import parse_configuration
from memtrain.config.results import CONFIGURATION_FILE
from memtrain.config.text_files import CsvSettings
from memtrain.core.errors import UserError
from memtrain.core.wording import counted, listed
from memtrain.data.tables.column_facts import ColumnFacts, describe_columns
from memtrain.data.tables.files import open_tables
from memtrain.data.tables.joined_tables import join_tables
from memtrain.data.tables.source_files import source_files
from memtrain.data.tables.table import Table
from memtrain.frontdoor.array_files import stay_where_they_lie
from memtrain.frontdoor.proposal import Plan, proposed_settings
from memtrain.frontdoor.roles import find_order, find_target, role_of
from memtrain.frontdoor.setting import Setting, settings_text
from memtrain.frontdoor.spelling import spelling_of, with_decimal_comma
from memtrain.frontdoor.task import Task, find_task
from memtrain.frontdoor.token_files import is_token_stream
from memtrain.system.atomic_files import write_text
from memtrain.system.yaml_text import parse_yaml

CONFIGURATION = Path(CONFIGURATION_FILE)

#: Fewest rows that can be divided into trained, validated and evaluated ones.
_FEWEST_ROWS = 20


def init(args: argparse.Namespace) -> int:
    """Write ``config.yaml`` for a table, or list its columns where no target is named.

    Raises:
        UserError: where the table cannot be read or learned from, or a configuration is here.
    """
    if args.target or args.tokens or len(args.path) == 2:
        _check_is_free(args)
    is_stream = args.in_place is not False and not args.target and is_token_stream(args.path)
    if args.tokens or args.dtype or is_stream:
        return _init_tokens(args)
    if stay_where_they_lie(args.path) if args.in_place is None else args.in_place:
        return _init_in_place(args)
    path = _path_of(args.path)
    csv = parse_settings_text(CsvSettings, args.csv) if args.csv else spelling_of(path)
    columns = describe_columns(path, csv)
    if csv.encoding == "cp1252" and not args.csv:
        sys.stderr.write(
            "note: the text is no UTF-8, and is read as cp1252. Where words look wrong, name its "
            "encoding: --csv '{encoding: latin-2}'.\n"
        )
    if not args.csv and (other := with_decimal_comma(csv, columns)):
        csv, columns = other, describe_columns(path, other)
    tables = _open(path, csv)
    name = _name_of_target(args.target, path, tables)
    is_named = name is not None or csv.column_names != "numbers"
    if not is_named:
        # Columns without names say nothing when they are listed; the target is mostly the last one.
        name = columns[-1].name
    if name is None:
        print(_columns_text(columns, args.path))
        return 0
    _check_is_free(args)
    plan = replace(plan_for(path, csv, columns, tables, name, args.task), is_named=is_named)
    _write(configuration_for(plan), plan.rows, _summary(plan))
    return 0


def _check_is_free(args: argparse.Namespace) -> None:
    if CONFIGURATION.exists() and not args.force:
        raise UserError(
            f"{CONFIGURATION}: it is here already. Add --force to replace it, or work in another "
            "folder."
        )


def _init_tokens(args: argparse.Namespace) -> int:
    """Write ``config.yaml`` and a model for a stream of tokens."""
    # Imported late, since tables need none of it.
    from memtrain.frontdoor.token_files import find_stream
    from memtrain.frontdoor.token_init import (
        copy_model,
        name_of_stream,
        proposed_token_settings,
        summary_of_tokens,
    )

    if args.target or args.task:
        raise UserError(
            "--tokens: of every token, the one behind it is learned. Leave out --target and --task."
        )
    _check_is_free(args)
    stream = find_stream(args.path, args.dtype)
    settings = proposed_token_settings(stream, name_of_stream(args.path))
    text = _checked_text(settings, stream.windows)
    copy_model()
    _write(text, stream.windows, summary_of_tokens(stream))
    return 0


def _init_in_place(args: argparse.Namespace) -> int:
    """Write ``config.yaml`` for arrays that are read where they lie, or list them."""
    # Imported late, since tables need none of it.
    from memtrain.frontdoor.array_init import (
        plan_arrays,
        proposed_array_settings,
        summary_of_arrays,
    )

    plan = plan_arrays(args.path, args.target, args.task)
    if isinstance(plan, str):
        print(plan)
        return 0
    rows = plan.facts.rows
    _check_rows(args.path[0], rows)
    _write(_checked_text(proposed_array_settings(plan), rows), rows, summary_of_arrays(plan))
    return 0


def _write(text: str, rows: int, decided: list[str]) -> None:
    """Write a configuration, and say what was decided."""
    write_text(CONFIGURATION, text)
    print(f"{CONFIGURATION} is written, for {rows:,} rows.")
    print("\n".join(decided))
    print("Read it, change what you know better, and go on with: memtrain run")


def plan_for(
    path: str | TwoPaths,
    csv: CsvSettings,
    columns: list[ColumnFacts],
    tables: list[Table],
    target: str,
    task: str | None = None,
) -> Plan:
    """Return what is decided about a table.

    Args:
        path: its files.
        csv: how text files are written.
        columns: what stands in its columns.
        tables: the opened files.
        target: the column that is learned.
        task: "regression" or "classification"; None to decide by what stands in the target.

    Raises:
        UserError: where no model can learn the target, from any column or from so few rows.
    """
    _check_rows(path, columns[0].rows)
    found = find_target(columns, target)
    _check_rows(f"{path}, target '{found.name}'", found.rows - found.missing)
    roles = [role_of(column) for column in columns if column.name != target]
    plan = Plan(path, csv, roles, find_task(found, task), find_order(columns, tables, target))
    if not roles:
        raise UserError(
            f"{path}: '{target}' is its only column, and a model learns it from others. Name a "
            "table that has some."
        )
    if not plan.features:
        raise UserError(
            f"{path}: no column is of use as a feature. "
            + " ".join(f"'{role.name}' is left out: {role.why}." for role in plan.left_out)
        )
    return plan


def _check_rows(path: str | TwoPaths, rows: int) -> None:
    if rows < _FEWEST_ROWS:
        raise UserError(
            f"{path}: it has {counted(rows, 'row')}, too few to train, validate and evaluate a "
            f"model. Use {_FEWEST_ROWS} or more."
        )


def configuration_for(plan: Plan) -> str:
    """Return the configuration of a table as commented YAML, which the workflow can read."""
    return _checked_text(proposed_settings(plan), plan.rows)


def _checked_text(settings: list[Setting], rows: int) -> str:
    """Return settings as commented YAML, after a check that the workflow can read it."""
    heading = (
        f"Proposed by `memtrain init` for {rows:,} rows. Each choice is yours to change; "
        "the page Configuration of the documentation describes every key."
    )
    text = settings_text(settings, heading)
    parse_configuration(parse_yaml(text))
    return text


def _path_of(paths: list[str]) -> str | TwoPaths:
    """Return the one path, or the two of features and target.

    A shell makes the files of a pattern of it: they are taken for the pattern.

    Raises:
        UserError: for more than two that are no pattern.
    """
    if len(paths) == 1:
        return paths[0]
    if pattern := _pattern_of(paths):
        return pattern
    if len(paths) == 2:
        return TwoPaths(features=paths[0], target=paths[1])
    raise UserError(
        f"found {len(paths)} paths. Give one table, or the files of the features and of the "
        "target; write a pattern such as 'data/*.csv' in quotes, so that the shell leaves it."
    )


def _pattern_of(paths: list[str]) -> str | None:
    """Return the pattern that stands for files whose names differ by numbers; None for others."""
    if len({re.sub(r"\d+", "0", path) for path in paths}) > 1 or len(set(paths)) < len(paths):
        return None
    parts = zip(*(re.split(r"(\d+)", path) for path in paths), strict=True)
    pattern = "".join(part[0] if len(set(part)) == 1 else "*" for part in parts)
    return pattern if sorted(glob(pattern)) == sorted(paths) else None


def _open(path: str | TwoPaths, csv: CsvSettings) -> list[Table]:
    if isinstance(path, TwoPaths):
        sides = [open_tables(source_files(one), csv) for one in (path.features, path.target)]
        return join_tables(*sides)
    return open_tables(source_files(path), csv)


def _name_of_target(given: str | None, path: str | TwoPaths, tables: list[Table]) -> str | None:
    """Return the name of the target among all columns; None where it is not known.

    Raises:
        UserError: where the file of the target has several columns, or not the named one.
    """
    if not isinstance(path, TwoPaths) or tables[0].sides is None:
        return given
    names = dict(tables[0].sides["target"])
    if given is None and len(names) == 1:
        (given,) = names
    if given not in names:
        raise UserError(f"--target: name the column of {path.target} to predict: {listed(names)}.")
    return names[given]


def _columns_text(columns: list[ColumnFacts], paths: list[str]) -> str:
    """Return the columns with their kinds, and how to go on."""
    width = max(len(column.name) for column in columns)
    lines = [f"{columns[0].rows:,} rows; their columns:", ""]
    for column in columns:
        missing = f", {column.missing:,} missing" if column.missing else ""
        examples = listed(one for one in column.examples[:3] if one is not None)
        lines.append(f"  {column.name:{width}}  {column.kind}{missing}: {examples}")
    files = " ".join(path if re.fullmatch(r"[\w./-]+", path) else f"'{path}'" for path in paths)
    lines += ["", "Name the one that a model shall predict:", ""]
    return "\n".join([*lines, f"  memtrain init {files} --target {columns[-1].name}"])


def _summary(plan: Plan) -> list[str]:
    """Return lines on what was decided."""
    task: Task = plan.task
    learned = "its classes are learned" if task.is_class else "it is learned as a number"
    if plan.order.note:
        sys.stderr.write(f"note: {plan.order.note}.\n")
    last = "" if plan.is_named else " (the last column; another one by --target)"
    return [
        f"  target    {task.target.name}: {learned}{last}",
        f"  features  {listed((role.name for role in plan.features), 12)}",
        *(f"  left out  {role.name}: {role.why}" for role in plan.left_out[:12]),
    ]
