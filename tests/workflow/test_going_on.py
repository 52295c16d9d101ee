"""Under Snakemake, trainings that are killed or stopped go on, and launchers can change."""

import copy
import shutil

import numpy as np

from tests.workflow.conftest import CONFIGURATION

#: A transform that kills its process in the middle of the training, in the first two tries.
PREPARING = """
import os
import signal
from pathlib import Path

batches = 0


def counted(row):
    global batches
    batches += 1
    times = len(list(Path().glob("killed.*")))
    if batches == 25 and times < 2:
        Path(f"killed.{times}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return row


counted.batched = True
"""

#: Results of a training whose bytes are the same everywhere.
PROMISED = ["splits/*/model.safetensors", "splits/*/history.csv"]

MODEL = "results/small/splits/first/model.safetensors"


def one_split():
    """Return a configuration of one split, whose training saves its state every two steps."""
    configuration = copy.deepcopy(CONFIGURATION)
    first = configuration["splits"]["first"]
    first["training"] = {"transform": "preparing:counted", "epochs": 3}
    configuration["splits"] = {"first": first}
    configuration["running"] = {"checkpoint": {"steps": 2}}
    return configuration


def test_a_training_that_is_killed_goes_on_in_the_next_try(new_project):
    results = []
    for name, killed_before in (("killed", 0), ("through", 2)):
        project = new_project(one_split(), name)
        (project / "preparing.py").write_text(PREPARING)
        for number in range(killed_before):
            (project / f"killed.{number}").touch()
        run = project.snakemake("--retries", "2", MODEL)
        assert run.jobs.count("train first") == (3 if name == "killed" else 1), run.output
        log = (project / "results/small/logs/train/first.log").read_text()
        assert ("going on after step" in log) == (name == "killed")
        assert not (project / "results/small/state/first").exists()
        results.append(project.results(*PROMISED))
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_a_training_longer_than_its_job_goes_on_in_the_next_job(new_project):
    """A job may take 12 milliseconds, and takes one of three steps; minutes would take too long."""
    results = []
    for name, minutes in (("short", "0.0002"), ("long", "0")):
        configuration = one_split()
        configuration["splits"]["first"]["training"] = {"epochs": 1, "accumulation_steps": 16}
        project = new_project(configuration, name)
        rule = (project / "rules/training.smk").read_text()
        rule = rule.replace("{resources.runtime}", minutes)
        (project / "rules/training.smk").write_text(rule)
        run = project.snakemake("--retries", "9", MODEL, check=False)
        assert run.status == 0, run.output
        results.append((project.results(*PROMISED), run.jobs.count("train first")))
    assert results[0][0] == results[1][0]
    assert results[0][1] == 3
    assert results[1][1] == 1


#: A transform that presses Ctrl-C in the middle of the first training: the terminal sends SIGINT to
#: its whole process group.
INTERRUPTING = PREPARING.replace("times < 2", "times < 1").replace(
    "os.kill(os.getpid(), signal.SIGKILL)", "os.killpg(os.getpgid(0), signal.SIGINT)"
)


def test_after_ctrl_c_the_next_call_goes_on_from_that_step(new_project):
    configuration = one_split()
    configuration["running"] = {"checkpoint": {"steps": 1000}}
    project = new_project(configuration)
    (project / "preparing.py").write_text(INTERRUPTING)
    project.snakemake("--until", "resolve_splits")
    run = project.snakemake(MODEL, check=False, group=True)
    assert run.status != 0
    log = project / "results/small/logs/train/first.log"
    stopped = "SIGINT was received: stopped after step 7 of 36; its state is saved"
    assert stopped in log.read_text(), run.output
    run = project.snakemake(MODEL)
    assert "train first" in run.jobs
    assert "going on after step 7," in log.read_text()


def test_another_launcher_makes_nothing_again_and_gives_the_same_bytes(project):
    before = project.results(*PROMISED)
    launcher = "train:launcher=torchrun --standalone --nproc-per-node=2"
    assert project.snakemake("--set-resources", launcher).jobs == []
    shutil.rmtree(project / "results/small/splits/first")
    run = project.snakemake("--set-resources", launcher, "--", MODEL)
    assert "train first" in run.jobs
    log = (project / "results/small/logs/train/first.log").read_text()
    assert "processes: 2" in log
    assert project.results(*PROMISED) == before


def test_the_networks_and_the_loss_of_the_digits_example_train_on_images(new_project, repository):
    """The images are random. An edit of a module trains only the splits that use it."""
    configuration = copy.deepcopy(CONFIGURATION)
    configuration["dataset"] = {
        "name": "small",
        "import": {
            "path": "images.npz",
            "features": ["image"],
            "target": ["label"],
            "dtypes": {"image": "uint8", "label": "int64"},
        },
    }
    ranges = {"train": [0, 300], "evaluate": [300, 400]}
    configuration["splits"] = {
        "network": ranges
        | {"training": {"model": "networks:Convolutional", "loss": "CrossEntropyLoss"}},
        "images": ranges
        | {"training": {"model": "networks:Autoencoder", "loss": "losses:reconstruction"}},
    }
    project = new_project(configuration)
    for name in ("networks.py", "losses.py"):
        shutil.copy(repository / "examples/digits" / name, project / name)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 17, (400, 64), dtype=np.uint8)
    np.savez(project / "images.npz", image=images, label=images[:, :5].argmax(1))
    project.snakemake()
    rows = np.load(project / "results/small/data.npy")
    assert rows.dtype["features"].base == np.uint8
    assert np.array_equal(rows["features"], images)
    with open(project / "losses.py", "a") as file:
        file.write("EDITED = True\n")
    run = project.snakemake()
    expected = ["draw images", "evaluate images", "resolve_splits", "summarize", "train images"]
    assert run.jobs == expected, run.output
