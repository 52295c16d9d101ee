"""A call of Snakemake with a mistake of the user's ends with a sentence, and not with code."""

import re
import shutil

import pytest
import yaml

from tests.workflow.conftest import CONFIGURATION, make_project

RECIPE = "results/small/splits/first/split.json"


@pytest.fixture(scope="module")
def resolved(tmp_path_factory, repository):
    """A project whose recipes are made."""
    folder = tmp_path_factory.mktemp("mistakes") / "x"
    project = make_project(folder, repository, yaml.safe_load(yaml.safe_dump(CONFIGURATION)))
    project.snakemake("--until", "resolve_splits")
    return project


def has_frames(output):
    return re.search(r'File ".*", line \d+|Traceback|\.smk"', output) is not None


@pytest.mark.parametrize(
    "arguments", [[], ["-n"], ["--lint"], ["-n", "--configfile", "config.yaml"]], ids=" ".join
)
def test_a_mistake_in_the_configuration_is_a_sentence(resolved, arguments):
    resolved.configure(lambda content: content["training"].update(epoch=3))
    try:
        run = resolved.snakemake(*arguments, check=False)
    finally:
        resolved.configure(lambda content: content["training"].pop("epoch"))
    assert run.status == 1
    assert "Error: The configuration has mistakes:\n  - training.epoch: there is" in run.output
    assert run.output.rstrip().endswith("Did you mean 'epochs'?")
    assert not has_frames(run.output)


@pytest.mark.parametrize("content", ["- 1\n", "a: [", "3", "", None, "dataset: {name: [1]}"])
def test_a_configuration_that_is_none_is_a_sentence(resolved, content):
    path = resolved / "config.yaml"
    kept = path.read_text()
    path.unlink() if content is None else path.write_text(content)
    try:
        run = resolved.snakemake("-n", check=False)
    finally:
        path.write_text(kept)
    assert run.status == 1
    assert "onfig" in run.output
    assert not has_frames(run.output), run.output


def test_a_mistake_in_a_module_is_a_sentence(resolved):
    (resolved / "Snakefile.module").write_text(
        'configfile: "wrong.yaml"\n'
        'module small:\n    snakefile: "Snakefile"\n    config: config\n'
        "use rule * from small as small_*\n"
    )
    (resolved / "wrong.yaml").write_text("dataset: {name: x}\n")
    run = resolved.snakemake("-n", "--snakefile", "Snakefile.module", check=False)
    assert run.status == 1
    assert "Error: The configuration has mistakes:" in run.output
    assert not has_frames(run.output)


@pytest.mark.parametrize("name", ["withdrawals.yaml", "accepted.yaml"])
def test_a_damaged_list_is_a_sentence(resolved, name):
    (resolved / name).write_text("- 1\n")
    try:
        run = resolved.snakemake("-n", check=False)
    finally:
        (resolved / name).unlink()
    assert run.status == 1
    assert f"Error: {name}: found list, not a list of" in run.output
    assert not has_frames(run.output)


def test_a_recipe_that_is_none_is_made_again(resolved):
    kept = resolved.folder.parent / "kept"
    shutil.copy(resolved / RECIPE, kept)
    (resolved / RECIPE).write_text("{}")
    try:
        run = resolved.snakemake("-n")
    finally:
        shutil.copy(kept, resolved / RECIPE)
    assert "first: split.json is damaged" in run.output
    assert "train first" in run.jobs
