"""Summarize all splits.

The program reads split.json, evaluation.json and performance.json of every split of the
configuration; of a split without rows to evaluate on, history.csv in place of evaluation.json. It
writes

  summary.csv     a line for every split and a column for every value, in full precision; a value
                  that is not defined is left empty
  summary.md      first the best model, how good it is, and its baseline; then a table of all
                  splits, rounded to what their standard errors allow; what explains it is folded
  summary.html    the same as a page, with the comparison
  comparison.png  the main metric of every split (R² or accuracy), its standard error and its
                  baseline
  lineage.html    what everything was made from: the graph from the source of the rows to this
                  summary, and the rows of every split. The page needs no other file and no network

After a run with failed jobs, the workflow calls this program with --partial: the summary then holds
the splits that are finished, and names the others with the reason and the log of each failure. It
says of itself that it is partial, and is made anew by the next run.

Seconds, rows/s and peak memory are those of the training, on the machine that it ran on. With
Snakemake's benchmarks (--benchmarks), the tables also show the resources that each training
requested and used as a job. The page is drawn from the records (--records); without them it shows
only the rows, and says so.
"""

import argparse
from pathlib import Path

from memtrain.cli.startup import prepare_imports

prepare_imports(__name__)

from memtrain.cli.entry_point import argument_parser, run
from memtrain.config.reading import read_configuration
from memtrain.config.results import ResultsLayout, SplitLayout
from memtrain.config.schema import Configuration
from memtrain.data.made_from import files_digest, write_statement
from memtrain.data.manifest import Manifest
from memtrain.lineage.index.lineage_index import LineageIndex
from memtrain.lineage.index.reading_errors import told_where_unreadable
from memtrain.lineage.page.content import page_content
from memtrain.lineage.page.rendering import write_page as write_lineage_page
from memtrain.lineage.page.split_lines import read_split_lines
from memtrain.lineage.records.arguments import add_recording_arguments
from memtrain.lineage.records.recorder import Recorder, recording
from memtrain.recipes.withdrawals import (
    WITHDRAWALS_FILE,
    read_withdrawals,
    withdrawals_digest,
)
from memtrain.recipes.withdrawn_rows import WithdrawnRows
from memtrain.reporting.summary import Summary
from memtrain.reporting.summary_csv import write_csv
from memtrain.reporting.summary_table import write_page, write_table
from memtrain.system import canonical_json
from memtrain.system.digests import digest_of_file
from memtrain.workflow.result_code import result_code_digest
from memtrain.workflow.unfinished_run import PARTIAL, UnfinishedRun


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__name__)
    parser.add_argument("--config", required=True, help="the configuration, YAML or JSON")
    parser.add_argument(
        "--splits", required=True, help="the folder that holds a folder for every split"
    )
    parser.add_argument(
        "--benchmarks",
        help="the folder of Snakemake's benchmarks, which tell the resources that trainings "
        "requested and used: <benchmarks>/train/<split>.jsonl (default: none)",
    )
    parser.add_argument(
        "--partial",
        help="the file in which the workflow has noted what is finished and what has failed; other "
        "splits are named, not summarized (default: all splits are finished)",
    )
    parser.add_argument("--csv", required=True, help="the table for programs to write, .csv")
    parser.add_argument("--table", required=True, help="the table for people to write, Markdown")
    parser.add_argument("--html", help="the same as a page, .html (default: none)")
    parser.add_argument("--figure", required=True, help="the comparison to draw, .png")
    parser.add_argument("--page", help="the lineage page to draw, .html (default: none)")
    parser.add_argument(
        "--made-from",
        help="the digests of what the summary was made from, and of its files, to write, .json "
        "(default: none)",
    )
    parser.add_argument("--manifest", help="the manifest of the shards that the page shows")
    parser.add_argument(
        "--withdrawals",
        default=WITHDRAWALS_FILE,
        help="the withdrawn rows that the page shows (default: %(default)s, if it exists)",
    )
    add_recording_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Summarize all splits."""
    args = parse_arguments(argv)
    with recording(__file__, args) as record:
        code = result_code_digest(Path(__file__))
        configuration = read_configuration(args.config)
        unfinished = UnfinishedRun.read(args.partial) if args.partial else None
        summary = Summary.read(configuration, args.splits, args.benchmarks, unfinished)
        write_csv(args.csv, summary)
        draw(args.figure, summary)
        write_table(args.table, summary, args.figure)
        if args.html:
            write_page(args.html, summary, args.figure)
        for split in (one.name for one in summary.splits):
            files = SplitLayout(Path(args.splits, split))
            is_evaluated = split in configuration.evaluated_splits
            of_model = "evaluation" if is_evaluated else "history"
            for role in ("recipe", of_model, "performance"):
                if (path := getattr(files, role)).exists():
                    record.reads(path, role)
        record.reads(args.config, "configuration")
        for path in filter(None, (args.csv, args.table, args.html, args.figure)):
            record.wrote(path, "summary")
        if args.page:
            draw_page(args, configuration, record, unfinished)
            record.wrote(args.page, "page")
        if args.made_from:
            origin = (
                {PARTIAL: unfinished.digest} if unfinished else made_from(args, configuration, code)
            )
            write_statement(args.made_from, origin, written_files(args))
            record.wrote(args.made_from, "summary")
        print(f"{args.table}: {len(summary.splits):,} splits")
    return 0


def written_files(args: argparse.Namespace) -> list[str]:
    """Return the files of the summary."""
    return [path for path in (args.csv, args.table, args.html, args.figure, args.page) if path]


def made_from(args: argparse.Namespace, configuration: Configuration, code: str) -> dict[str, str]:
    """Return what the summary of all splits is made from: digests by name."""
    splits = {name: SplitLayout(Path(args.splits, name)) for name in configuration.split_names}
    evaluated = configuration.evaluated_splits
    withdrawals = read_withdrawals(args.withdrawals, configuration.dataset.name)
    origin = {
        "code": code,
        "settings": canonical_json.digest(configuration.settings_of_summary()),
        "recipes": files_digest({name: digest_of_file(one.recipe) for name, one in splits.items()}),
        "evaluations": files_digest(
            {name: digest_of_file(splits[name].evaluation) for name in evaluated}
        ),
        "histories": files_digest(
            {
                name: digest_of_file(one.history)
                for name, one in splits.items()
                if name not in evaluated
            }
        ),
        "withdrawals": withdrawals_digest(withdrawals),
    }
    return origin | ({"manifest": digest_of_file(args.manifest)} if args.manifest else {})


def draw(path: str, summary: Summary) -> None:
    """Draw the comparison of the splits."""
    # Imported late, since matplotlib takes a while: a missing file is reported before.
    from memtrain.reporting.summary_figure import draw_summary

    draw_summary(path, summary)


def draw_page(
    args: argparse.Namespace,
    configuration: Configuration,
    record: Recorder,
    unfinished: UnfinishedRun | None,
) -> None:
    """Draw the lineage page, which shows this run as still running."""
    for role in ("manifest", "withdrawals"):
        path = getattr(args, role)
        if path and Path(path).exists():
            record.reads(path, role)
    running = record.keep_so_far()
    with told_where_unreadable(args.records or "."):
        content = page_content(
            configuration.dataset.name,
            read_split_lines(configuration, args.splits, unfinished),
            manifest=Manifest.read(args.manifest) if args.manifest else None,
            withdrawals=WithdrawnRows(
                read_withdrawals(args.withdrawals, configuration.dataset.name),
                Path(args.withdrawals),
                ResultsLayout(Path(args.splits).parent),
            ).known(),
            index=LineageIndex(args.records, Path.cwd()) if args.records else None,
            running=running,
            notes=unfinished.told(configuration.split_names) if unfinished else (),
        )
    write_lineage_page(args.page, content)


if __name__ == "__main__":
    run(main)
