"""The definitions of container images in envs/ are linted and compared, but no image is built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

#: Sections of the definition, as Apptainer's documentation names them.
SECTIONS = {"files", "post", "environment", "test", "labels", "help"}


def dockerfile(repository):
    """Return the instructions of the Dockerfile without comments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (repository / "envs/Dockerfile").read_text())
    return [line.split(" ", 1) for line in text.splitlines() if line and line[0] != "#"]


def definition(repository):
    """Return the header and the sections of the Apptainer definition, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (repository / "envs/memtrain.def").read_text(), flags=re.M)
    header, *sections = re.split(r"^%(\w+)[ \t]*$", text, flags=re.M)
    names = sections[::2]
    assert len(names) == len(set(names))
    return (
        dict(re.findall(r"^(\w+): (\S+)$", header, re.M)),
        dict(zip(names, sections[1::2], strict=True)),
    )


def installed(text):
    """Return the requirement files that the pip commands in a text install."""
    return set(re.findall(r"--requirement (\S+)", text))


@pytest.mark.slow
def test_hadolint_finds_nothing_in_the_dockerfile(repository):
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", repository / "envs/Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_apptainer_definition_has_known_sections_with_valid_shell(repository):
    header, sections = definition(repository)
    assert set(header) == {"Bootstrap", "From"}
    assert set(sections) == SECTIONS
    for name in ("post", "environment", "test"):
        done = subprocess.run(["sh", "-n"], input=sections[name], text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_both_images_have_the_same_base_with_a_python_that_conda_allows(repository):
    header, _ = definition(repository)
    base = dict(dockerfile(repository))["ARG"].removeprefix("PYTHON_IMAGE=")
    assert header == {"Bootstrap": "docker", "From": base}
    version = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-\w+", base)
    python = yaml.safe_load((repository / "envs/memtrain.yaml").read_text())["dependencies"][0]
    least = re.fullmatch(r"python >=(\d+)\.(\d+)", python)
    assert tuple(map(int, version.groups())) >= tuple(map(int, least.groups()))


def test_both_images_install_the_pinned_requirements_and_nothing_else(repository):
    _, sections = definition(repository)
    copied = {path for path, _ in map(str.split, sections["files"].strip().splitlines()) if path}
    wanted = {f"/opt/memtrain/{Path(path).name}" for path in copied}
    assert copied == {"envs/requirements.txt", "envs/requirements-blake3.txt"}
    assert all((repository / path).exists() for path in copied)
    assert installed(sections["post"]) == wanted

    instructions = dockerfile(repository)
    *files, folder = dict(instructions)["COPY"].split()
    run = [text for name, text in instructions if name == "RUN"]
    assert {folder + file for file in files} == installed(" ".join(run)) == wanted
    for text in (*run, sections["post"]):
        assert "==" not in text
        assert text.count("pip install") == 1


def test_the_image_and_the_pod_do_not_run_as_root(repository):
    assert dict(dockerfile(repository))["USER"] == "1000"
    job = yaml.safe_load((repository / "profiles/kubernetes/job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 1000
    (container,) = pod["containers"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "profiles/sge/status.sh",
        "profiles/slurm/one_job.sh",
    ],
)
def test_scripts_of_profiles_are_executable_shell(repository, script):
    assert (repository / script).stat().st_mode & 0o111
    subprocess.run(["sh", "-n", repository / script], check=True)
