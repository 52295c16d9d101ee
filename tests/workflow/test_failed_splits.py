"""A split that fails does not hide the others: what is finished is summarized, and told apart."""

import csv
import json
import signal
import subprocess
import time

import pytest

DIVERGES = {"optimizer": {"name": "SGD", "lr": 1e30}}
BREAKS = {"loss": "own:breaks", "epochs": 4}
SPLIT = {"train": [0, 1500], "evaluate": [19900, 20000]}

#: Losses of a user's own: one fails in the first epoch, the other one waits to be stopped.
OWN = """
import time
calls = 0

def breaks(model, batch):
    global calls
    calls += 1
    if calls > 60:
        raise ZeroDivisionError("a loss of mine is broken")
    return (model(batch["features"])[:, 0] - batch["target"]).square().sum()
"""


def add(**trainings):
    """Return a change of a configuration: more splits, with these settings of the training."""

    def change(content):
        for name, training in trainings.items():
            content["splits"][name] = SPLIT | {"training": training}

    return change


def without(*names):
    """Return a change of a configuration: without these splits."""
    return lambda content: [content["splits"].pop(name) for name in names]


def summary_of(project):
    """Return the text of the summary in one line, and the lines of its table by their splits."""
    folder = project / "results/small/summary"
    with (folder / "summary.csv").open() as file:
        lines = {line["split"]: line for line in csv.DictReader(file)}
    return " ".join((folder / "summary.md").read_text().split()), lines


def test_what_is_finished_is_summarized_until_all_is(project):
    whole = project.results("summary/summary.csv", "summary/comparison.png")
    (project / "own.py").write_text(OWN)
    project.configure(add(diverges=DIVERGES, breaks=BREAKS))
    run = project.snakemake(check=False)
    assert run.status == 1
    text, lines = summary_of(project)
    assert "Partial: 3 of 5 splits are finished." in text
    assert "- train/diverges failed: the loss is nan at step" in text
    assert "- train/breaks failed: ZeroDivisionError: a loss of mine is broken. Log: " in text
    for name in ("diverges", "breaks"):
        assert f" Log: results/small/logs/train/{name}.log" in text
        assert {value for key, value in lines[name].items() if key != "split"} == {""}
    assert list(lines) == ["first", "second", "share", "diverges", "breaks"]
    assert float(lines["share"]["r2"])
    shown = [line for line in run.output.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in shown[-3:]] == ["first", "second", "share"]
    told = "train/breaks failed: ZeroDivisionError: a loss of mine is broken."
    assert run.output.count(told) == 1
    page = (project / "results/small/summary/lineage.html").read_text()
    assert "train/breaks failed: ZeroDivisionError" in page
    assert project.results("summary/*.png")["summary/comparison.png"] not in whole.values()

    again = project.snakemake("-n", "--quiet", "rules", check=False)
    assert "summarize" in again.output
    project.configure(
        lambda content: [content["splits"].pop(one) for one in ("diverges", "breaks")]
    )
    assert project.snakemake("results/small/summary/summary.md").jobs == ["summarize"]
    assert project.results("summary/summary.csv", "summary/comparison.png") == whole
    assert "Partial" not in summary_of(project)[0]
    assert not (project / "results/small/state/unfinished.json").exists()
    assert project.snakemake().jobs == []


def test_no_result_of_earlier_settings_stands_for_a_split_that_fails(project):
    project.configure(lambda content: content["splits"]["second"].update(training=DIVERGES))
    assert project.snakemake(check=False).status == 1
    assert (project / "results/small/splits/second/evaluation.json").exists()
    text, lines = summary_of(project)
    assert "Partial: 2 of 3 splits are finished." in text
    assert lines["second"]["r2"] == ""
    assert lines["first"]["r2"] != ""
    project.configure(lambda content: content["splits"]["second"].pop("training"))
    assert "summarize" in project.snakemake().jobs
    assert summary_of(project)[1]["second"]["r2"] != ""


def test_a_run_that_stops_at_the_first_failure_names_what_it_did_not_reach(project):
    project.configure(add(diverges=DIVERGES, later={"seed": 1}))
    # The profile of the project keeps going.
    stops = ("--workflow-profile", "none", "--rerun-triggers", "mtime")
    run = project.snakemake(*stops, "--prioritize", model("diverges"), cores=1, check=False)
    assert run.status == 1
    text, lines = summary_of(project)
    assert "Partial: 3 of 5 splits are finished." in text
    assert "- Not finished when the run ended: later." in text
    assert lines["later"]["r2"] == ""


def model(split):
    return f"results/small/splits/{split}/model.safetensors"


def test_a_split_without_figures_is_summarized_and_named(project):
    program = project / "scripts/draw.py"
    code = program.read_text()
    (start,) = [line for line in code.splitlines(keepends=True) if " = draw_split(" in line]
    fails = "        if recipe.split == 'first':\n            raise OSError('no ink')\n"
    program.write_text(code.replace(start, fails + start))
    run = project.snakemake(check=False)
    assert run.status == 1
    text, lines = summary_of(project)
    assert "Partial: 3 of 3 splits are finished." in text
    assert "- draw/first failed: OSError: no ink. Log: results/small/logs/draw/first.log" in text
    assert all(line["r2"] for line in lines.values())
    program.write_text(code)
    assert "summarize" in project.snakemake().jobs
    assert "Partial" not in summary_of(project)[0]


def test_where_nothing_is_finished_no_summary_is_made(new_project):
    project = new_project()
    project.configure(lambda content: content.update(splits={"only": SPLIT, "other": SPLIT}))
    project.configure(lambda content: content["training"].update(DIVERGES))
    run = project.snakemake(check=False)
    assert run.status == 1
    assert not (project / "results/small/summary/summary.md").exists()
    assert "train/only cannot be made:" in run.output


def test_a_run_that_the_user_stops_makes_no_summary(project):
    (project / "own.py").write_text(OWN.replace("raise", "time.sleep(60)\n        raise"))
    project.configure(add(diverges=DIVERGES, breaks=BREAKS))
    process = subprocess.Popen(
        project.command("--cores", "2"),
        cwd=project.folder,
        env=project.environment,
        # Even where the tests run in the background of a script, which ignores Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    state = project / "results/small/state"
    wait_until(lambda: state_of(state / "diverges") == "failed")
    wait_until(lambda: state_of(state / "breaks") == "running")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 1
    assert "Partial" not in summary_of(project)[0]


def state_of(folder):
    try:
        return json.loads((folder / "progress.json").read_text())["state"]
    except OSError:
        return None


def wait_until(holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("damage", ["made_from", "unfinished_run"])
def test_a_partial_summary_is_made_again_whatever_is_left_of_the_run(project, damage):
    project.configure(add(diverges=DIVERGES))
    assert project.snakemake(check=False).status == 1
    project.configure(without("diverges"))
    path = {"made_from": "summary/made_from.json", "unfinished_run": "state/unfinished.json"}
    (project / "results/small" / path[damage]).unlink()
    assert "summarize" in project.snakemake().jobs
    assert "Partial" not in summary_of(project)[0]
