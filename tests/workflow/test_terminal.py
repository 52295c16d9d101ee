"""What a call of Snakemake prints: a line for each job, failures whole, and the summary."""

import re
from pathlib import Path


def body(run):
    """Return the lines from the first job on, without the progress and the path of the log."""
    lines = run.output.splitlines()
    start = next(place for place, line in enumerate(lines) if re.match("local(rule|check)", line))
    skipped = re.compile(r"\d+ of \d+ steps|Complete log|DAG of jobs|$")
    return [line for line in lines[start:] if not skipped.match(line)]


def test_a_run_has_a_line_for_each_job_with_the_reason_and_ends_with_the_summary(project):
    project.configure(lambda content: content["splits"]["first"].update(training={"seed": 1}))
    run = project.snakemake()
    summary = (project / "results/small/summary/summary.md").read_text()
    table = [line for line in summary.splitlines() if line.startswith("|")]
    lines = body(run)
    results = next(place for place, line in enumerate(lines) if line.startswith("Best: "))
    assert lines[:results] == [
        "localcheckpoint resolve_splits: first: settings changed",
        "localrule train: split first, rows or settings changed",
        "localrule evaluate: split first, train first runs again",
        "localrule draw: split first, evaluate first runs again",
        "localrule summarize: recipes changed",
        "localrule all:",
    ]
    shown = [line for line in lines if line.startswith("|")]
    assert shown == table[: len(shown)]
    assert [line.split()[1] for line in shown[2:]] == ["first", "second", "share"]
    assert lines[-1] == "Summary: results/small/summary/summary.md"
    (log,) = re.findall(r"Complete log\(s\): (\S+)", run.output)
    assert "    input: " in Path(log).read_text()


def test_a_dry_run_says_why_each_job_would_run_and_shows_no_summary(project):
    project.configure(lambda content: content["splits"]["first"].update(training={"seed": 1}))
    run = project.snakemake("-n")
    assert "train first: settings changed (seed: 0 -> 1)" in run.output
    assert "checkpoint resolve_splits: first: settings changed\n" in run.output
    assert "Summary:" not in run.output


def test_a_dry_run_says_in_words_what_would_be_made_and_how_long_it_takes(project):
    project.configure(lambda content: content["splits"]["first"].update(training={"seed": 1}))
    words = project.snakemake("-n").output.partition("In words, this would be made:\n")[2]
    assert "  first the recipes (first: settings changed)\n" in words
    assert "  1 training: first (its settings changed: seed: 0 -> 1)\n" in words
    assert "  then 1 evaluation, its figures and the summary\n" in words
    kept = "current, and kept: 2 trainings with what was made of them (second, share)"
    assert kept in words
    assert re.search(r"about \d+ s on 2 cores \(trainings by the rows/s of their last", words)
    assert "In words" not in project.snakemake("-n", "--until", "resolve_splits").output


def test_a_dry_run_says_what_runs_perhaps(project):
    project.configure(lambda content: content["evaluation"].update(bootstrap=6))
    words = project.snakemake("-n").output.partition("In words, this would be made:\n")[2]
    why = "whether rows or settings changed is known after the recipes"
    assert f"  perhaps 3 trainings: first, second, share ({why})\n" in words
    assert "and, if all runs that is perhaps, " in words


def test_the_log_of_a_job_that_fails_is_shown_whole(project):
    project.configure(lambda content: content["splits"]["first"].update(training={"seed": 1}))
    (project / "results/small/state").mkdir(exist_ok=True)
    (project / "results/small/state/first").write_text("no folder")
    run = project.snakemake(check=False)
    assert run.status == 1
    log = (project / "results/small/logs/train/first.log").read_text()
    assert log.splitlines()
    for line in log.splitlines():
        assert line in run.output
    assert "train/first cannot be made:" in run.output
    assert "Summary:" not in run.output


def test_whoever_asks_for_commands_gets_all_that_snakemake_says(project):
    run = project.snakemake("--printshellcmds", "-n", "--forcerun", "summarize")
    assert "    input: results/small/verdicts/summarize" in run.output
    assert "python scripts/summarize.py --config" in run.output


def test_a_quiet_run_says_nothing(project):
    run = project.snakemake("--quiet", "all", "--forcerun", "summarize")
    assert run.output.splitlines()[2:] == []
