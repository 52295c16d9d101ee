"""Profiles say how a workflow runs; rules say what runs, and name nothing of a cluster."""

import re

import pytest
import yaml

#: Words for facts about a site or a scheduler.
CLUSTER_FACTS = (
    r"slurm|sbatch|srun|squeue|scontrol|\bpartition|\baccount|\bqos\b|\bgres\b|\bgpus?\b"
    r"|\bconstraint|\bnodes?\b|\bretries:"
)


def profile_files(repository):
    return sorted(repository.glob("profiles/*/profile.yaml"))


def test_rules_name_nothing_of_a_cluster(repository):
    for path in [repository / "Snakefile", *repository.glob("rules/*.smk")]:
        found = re.findall(CLUSTER_FACTS, path.read_text(), re.IGNORECASE)
        assert not found, f"{path.name}: {found}; this belongs in a profile"


def test_every_key_of_a_profile_has_a_comment(repository):
    """The comment stands right above the key, or above the group of keys that it describes."""
    for path in profile_files(repository):
        for block in re.split(r"\n{2,}(?=\S)", path.read_text().strip()):
            assert block.startswith("#"), f"{path.parent.name}: {block}"


def test_profiles_that_are_combined_share_no_key(repository):
    """In Snakemake, a key of a later profile replaces the whole key of an earlier one."""
    keys = {
        path.parent.name: set(yaml.safe_load(path.read_text()))
        for path in profile_files(repository)
    }
    assert not keys["default"] & keys["slurm"]
    assert not keys["slurm"] & (keys["slurm-gpu"] | keys["slurm-nodes"])


@pytest.mark.parametrize("name", ["nodes", "processes"])
def test_the_launcher_of_several_nodes_agrees_with_the_requested_resources(repository, name):
    text = (repository / "profiles/slurm-nodes/profile.yaml").read_text()
    train = yaml.safe_load(text)["set-resources"]["train"]
    launcher = dict(re.findall(r"--([a-z-]+)=(\S+)", train["launcher"]))
    if name == "nodes":
        numbers = {train["nodes"], train["tasks"], int(launcher["nodes"]), int(launcher["nnodes"])}
        assert len(numbers) == 1
        assert launcher["ntasks-per-node"] == "1"
    else:
        assert int(launcher["nproc-per-node"]) == train["processes_per_node"]
        assert int(launcher["cpus-per-task"]) == train["cpus_per_task"]
