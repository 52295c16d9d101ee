"""Pinned versions, scripts and rules, and the lengths of files in the whole repository."""

import re
import subprocess

import pytest
import yaml


def pins(path):
    """Return the versions that a requirements file pins, by package."""
    found = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z0-9_.-]+)==(\S+)", line):
            found[match[1].lower().replace("_", "-")] = match[2]
    return found


def test_conda_and_pip_install_the_same_versions(repository):
    envs = repository / "envs"
    conda_names = {
        "pytorch": "torch",
        "matplotlib-base": "matplotlib",
        "ml_dtypes": "ml-dtypes",
    }
    dependencies = yaml.safe_load((envs / "memtrain.yaml").read_text())["dependencies"]
    conda = dict(re.fullmatch(r"(\S+) =([0-9.]+)", line).groups() for line in dependencies[1:])
    pip = pins(envs / "requirements.txt")
    assert {conda_names.get(name, name): version for name, version in conda.items()} == {
        name: pip[name] for name in [*(conda_names.get(name, name) for name in conda)]
    }
    assert len(conda) >= 8
    assert not set(pip) & set(pins(envs / "requirements-dev.txt"))


def test_the_installed_versions_are_the_pinned_ones(repository):
    from importlib.metadata import version

    for path in ("requirements.txt", *installed_for_tests(repository)):
        for name, pinned in pins(repository / "envs" / path).items():
            assert version(name).split("+")[0] == pinned, name


def installed_for_tests(repository):
    """Return the names of requirements-dev.txt and of the files that it includes."""
    lines = (repository / "envs/requirements-dev.txt").read_text().splitlines()
    included = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    return [*(name for name in included if name != "requirements.txt"), "requirements-dev.txt"]


def test_every_line_of_the_requirements_is_an_exact_version_given_once(repository):
    for path in sorted((repository / "envs").glob("requirements*.txt")):
        lines = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        pinned = [line for line in lines if not line.startswith("-r ")]
        assert len(pinned) == len(pins(path)), path
    main = pins(repository / "envs/requirements.txt")
    together = [*main]
    for path in installed_for_tests(repository):
        together += pins(repository / "envs" / path)
    assert len(together) == len(set(together))


def test_validators_share_the_versions_of_the_workflow_except_rich(repository):
    main = pins(repository / "envs/requirements.txt")
    validators = pins(repository / "envs/requirements-validators.txt")
    differing = {name for name in set(main) & set(validators) if main[name] != validators[name]}
    assert differing == {"rich"}


def test_every_rule_has_its_script_and_every_script_its_rule(repository):
    rules = set()
    for path in repository.glob("rules/*.smk"):
        rules |= set(re.findall(r"^\s*(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE))
    # Users call these by hand; the rules that generate and import rows call check_components, too.
    commands = {
        "status",
        "lineage",
        "clean",
        "check_components",
        "describe_table",
        "track",
        "predict",
        "export",
        "memtrain_command",
        # The rules start other scripts by this one.
        "launch",
    }
    # A group of files is indexed by the script that joins the groups, and a model is only offered.
    rules -= {"index_group", "offer_base"}
    assert {path.stem for path in repository.glob("scripts/*.py")} == rules | commands


def test_the_workflow_catalog_finds_how_to_use_the_workflow(repository):
    """The keys are those that https://github.com/snakemake/snakemake-workflow-catalog reads."""
    content = yaml.safe_load((repository / ".snakemake-workflow-catalog.yml").read_text())
    assert set(content) == {"usage"}
    usage = content["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    ways = usage["software-stack-deployment"]
    assert set(ways) == {"conda", "apptainer", "apptainer+conda", "report"}
    assert ways["conda"] is True
    assert ways["report"] is True is usage["report"]
    readme = (repository / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme


def test_deployments_get_the_default_configuration_and_how_to_change_it(repository):
    default = (repository / "config.yaml").read_text()
    assert (repository / "config/config.yaml").read_text() == default
    text = (repository / "config/README.md").read_text()
    # The catalog shows the text below a heading of its own.
    assert not re.search(r"^# \w", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    for section in yaml.safe_load(default):
        assert f"`{section}`" in text


def test_no_source_file_has_more_than_400_lines(repository):
    for folder in ("scripts", "rules", "tests", "benchmarks", "campaigns", "docs"):
        for path in (repository / folder).rglob("*"):
            if path.suffix in (".py", ".smk"):
                assert len(path.read_text().splitlines()) <= 400, path
    assert len((repository / "Snakefile").read_text().splitlines()) < 60


@pytest.mark.slow
def test_nothing_lies_in_the_repository_by_chance(repository):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=repository, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    files = {name for name in listed if "/" not in name and not name.startswith(".")}
    assert files == {
        *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"),
        *("Snakefile", "config.yaml", "pyproject.toml"),
    }
    assert [name for name in listed if name.startswith("results/")] == ["results/.gitignore"]
