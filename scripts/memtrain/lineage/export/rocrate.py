"""A Provenance Run Crate: RO-Crate 1.1 with the Workflow Run profiles 0.5.

The folder of the crate is the project or a folder above it. The crate copies no data: its metadata
describe the files where they are. A file that is gone or has changed since is a ``CreativeWork``.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memtrain.core.errors import UserError
from memtrain.lineage.export.provenance import Provenance, Run, UsedFile
from memtrain.lineage.export.rocrate_files import Places, piece_entities, row_id
from memtrain.lineage.index.facts import Version
from memtrain.system.atomic_files import write_text

METADATA_FILE = "ro-crate-metadata.json"
#: The copy of the Snakefile in a crate whose folder does not contain the Snakefile itself.
WORKFLOW_FILE = "ro-crate-workflow.smk"

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}

#: Terms that RO-Crate lacks. They are defined here, so that nobody has to fetch a second context.
_TERMS = {
    "oa": "http://www.w3.org/ns/oa#",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
}

_LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
_COMPLETED = {"@id": "http://schema.org/CompletedActionStatus"}


def write_crate(provenance: Provenance, *, project: Path, folder: Path, snakefile: Path) -> Path:
    """Write the metadata of a crate, and return its path.

    Args:
        provenance: the content of the crate.
        project: the folder of the project.
        folder: the folder of the crate, which is the project or a folder above it.
        snakefile: the Snakefile, which is copied into the crate if it is outside of the folder.

    Raises:
        UserError: where the folder is neither the project nor above it, or there is no Snakefile.
    """
    project = project.resolve()
    folder = folder.resolve()
    snakefile = snakefile.resolve()
    if not project.is_relative_to(folder):
        raise UserError(
            f"{folder}: a crate describes files below its folder and copies none, so it has to be "
            f"in the folder of the project ({project}) or in one above it."
        )
    if not snakefile.is_file():
        raise UserError(
            f"{snakefile}: a crate describes the workflow, whose Snakefile should be here. Use "
            "scripts/lineage.py of the checkout that ran the workflow."
        )
    workflow = WORKFLOW_FILE
    if snakefile.is_relative_to(folder):
        workflow = snakefile.relative_to(folder).as_posix()
    else:
        write_text(folder / WORKFLOW_FILE, snakefile.read_text())
    graph = list(_Crate(provenance, Places(provenance, project, folder), workflow).entities())
    content = {"@context": ["https://w3id.org/ro/crate/1.1/context", _TERMS], "@graph": graph}
    path = folder / METADATA_FILE
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


class _Crate:
    """The entities of a crate.

    Args:
        provenance: the content of the crate.
        places: where its files are.
        workflow: the path of the Snakefile, relative to the crate.
    """

    def __init__(self, provenance: Provenance, places: Places, workflow: str):
        self._provenance = provenance
        self._places = places
        self._workflow = workflow
        self._row_files = [places.id_of_row_file(file) for file in provenance.row_files]
        self._jobs = list(dict.fromkeys(run.job for run in provenance.runs))

    def entities(self) -> Iterator[dict[str, Any]]:
        """Yield every entity once."""
        runs, workflow_runs = self._provenance.runs, self._provenance.workflow_runs
        yield _descriptor()
        yield self._root()
        yield from (
            {"@id": profile, "@type": "CreativeWork", "name": name, "version": profile[-3:]}
            for profile, name in _PROFILES.items()
        )
        yield self._workflow_entity()
        yield from (self._step(position, job) for position, job in enumerate(self._jobs))
        yield from self._software()
        yield from (self._file(file) for file in self._provenance.files)
        yield from (self._places.row_file_entity(file) for file in self._provenance.row_files)
        for file, piece in self._provenance.pieces():
            source = self._places.id_of(file)
            place = self._provenance.bytes_of(file, piece.rows)
            yield from piece_entities(source, piece, place)
        for run in runs:
            yield self._action(run)
            yield from _parameters(run)
        for run in workflow_runs:
            yield from self._workflow_run(run)
        yield from (
            {"@id": _person_id(user), "@type": "Person", "name": user}
            for user in sorted({_user(run) for run in workflow_runs})
        )

    def _file(self, file: Version) -> dict[str, Any]:
        """Return the entity of a file; that of the rows names the files that they lie in."""
        entity = self._places.entity(file)
        if file.path != self._provenance.data or not self._row_files:
            return entity
        return entity | {"isBasedOn": _references(self._row_files)}

    def _root(self) -> dict[str, Any]:
        in_place = [file for file in self._provenance.files if self._places.is_in_place(file)]
        parts = [*map(self._places.id_of, in_place), *self._row_files]
        runs, workflow_runs = self._provenance.runs, self._provenance.workflow_runs
        actions = [
            *map(_run_id, runs),
            *map(_run_id, workflow_runs),
            *(f"{_run_id(run)}/engine" for run in workflow_runs),
        ]
        return {
            "@id": "./",
            "@type": "Dataset",
            "name": f"memtrain: {self._provenance.dataset}",
            "description": (
                "How the results of a memtrain workflow were made: its runs, the files that each "
                "read and wrote, and the rows of each shard that it read, counted from 0."
            ),
            "datePublished": max(run.ended_at or run.started_at for run in runs),
            "license": "Not stated: the owner of the data has to say which license the data has.",
            "conformsTo": _references(_PROFILES),
            "mainEntity": {"@id": self._workflow},
            "hasPart": _references(
                [self._workflow, *(one for one in parts if not one.startswith("#"))]
            ),
            "mentions": _references(actions),
        }

    def _workflow_entity(self) -> dict[str, Any]:
        return {
            "@id": self._workflow,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "memtrain",
            "description": "Trains PyTorch models on row ranges of a memory-mapped file.",
            "encodingFormat": "text/x-snakemake",
            "programmingLanguage": {"@id": _LANGUAGE},
            "hasPart": _references(dict.fromkeys(map(_tool_id, self._provenance.runs))),
            "step": _references(_step_id(job) for job in self._jobs),
        }

    def _step(self, position: int, job: str) -> dict[str, Any]:
        tools = dict.fromkeys(_tool_id(run) for run in self._provenance.runs if run.job == job)
        return {
            "@id": _step_id(job),
            "@type": "HowToStep",
            "name": job,
            "position": position,
            "workExample": _references(tools),
        }

    def _software(self) -> Iterator[dict[str, Any]]:
        """Yield the workflow language, the engines, the scripts and their environments."""
        yield {"@id": _LANGUAGE, "@type": "ComputerLanguage", "name": "Snakemake"} | {
            "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            "url": {"@id": "https://snakemake.github.io"},
        }
        for version in sorted({_engine_version(run) for run in self._provenance.workflow_runs}):
            yield {
                "@id": f"#snakemake/{version}",
                "@type": "SoftwareApplication",
                "name": "Snakemake",
                "version": version,
                "url": {"@id": "https://snakemake.github.io"},
            }
        tools = {_tool_id(run): run for run in self._provenance.runs}
        for tool, run in tools.items():
            commit = next((root.commit for root in run.code if root.commit), None)
            yield {"@id": tool, "@type": "SoftwareSourceCode", "name": run.script} | _known(
                sha256=run.script_digest and run.script_digest.removeprefix("sha256:"),
                version=commit,
                softwareRequirements={"@id": _environment_id(run)},
                programmingLanguage={"@id": _environment_id(run)},
            )
        for environment, run in {_environment_id(run): run for run in tools.values()}.items():
            packages = run.environment.get("packages", {})
            listed = ", ".join(f"{name} {version}" for name, version in packages.items())
            yield {
                "@id": environment,
                "@type": "ComputerLanguage",
                "name": f"Python {run.environment.get('python')}",
                "description": f"With {listed}." if listed else "With unknown packages.",
            }

    def _action(self, run: Run) -> dict[str, Any]:
        parents = (one for one in self._provenance.workflow_runs if one.run_id == run.parent_id)
        parent = next(parents, None)
        return {
            "@id": _run_id(run),
            "@type": "CreateAction",
            "name": run.name,
            "instrument": {"@id": _tool_id(run)},
            "object": _references(
                [*self._read(run.reads), *(_run_id(run, name) for name in _given_parameters(run))]
            ),
            "result": _references(self._places.id_of(use.file) for use in run.writes),
            "startTime": run.started_at,
            "endTime": run.ended_at,
            "actionStatus": _COMPLETED,
        } | _known(agent=parent and {"@id": _person_id(_user(parent))})

    def _read(self, uses: Iterable[UsedFile]) -> Iterator[str]:
        """Yield the ids of what a run read: rows shard by shard, and other files as a whole."""
        for use in uses:
            source = self._places.id_of(use.file)
            yield from (row_id(source, piece.rows) for piece in use.pieces)
            if not use.pieces:
                yield source

    def _workflow_run(self, workflow_run: Run) -> Iterator[dict[str, Any]]:
        """Yield the entities of a run of the workflow: the run, its engine, its starts of jobs."""
        runs = [run for run in self._provenance.runs if run.parent_id == workflow_run.run_id]
        written = {use.file.id: use.file for run in runs for use in run.writes}
        read = {
            use.file.id: use.file for run in runs for use in run.reads if use.file.id not in written
        }
        times = {"startTime": workflow_run.started_at} | _known(endTime=workflow_run.ended_at)
        by = {"agent": {"@id": _person_id(_user(workflow_run))}}
        yield {
            "@id": _run_id(workflow_run),
            "@type": "CreateAction",
            "name": f"snakemake {workflow_run.details['workflow']['command']}",
            "instrument": {"@id": self._workflow},
            "object": _references(map(self._places.id_of, read.values())),
            "result": _references(map(self._places.id_of, written.values())),
        } | (times | by)
        controls = [(f"{_run_id(run)}/control", run) for run in runs]
        yield {
            "@id": f"{_run_id(workflow_run)}/engine",
            "@type": "OrganizeAction",
            "name": "Snakemake's run of the workflow",
            "instrument": {"@id": f"#snakemake/{_engine_version(workflow_run)}"},
            "object": _references(control for control, _ in controls),
            "result": {"@id": _run_id(workflow_run)},
        } | (times | by)
        for control, run in controls:
            yield {
                "@id": control,
                "@type": "ControlAction",
                "name": f"start of {run.name}",
                "instrument": {"@id": _step_id(run.job)},
                "object": {"@id": _run_id(run)},
                "actionStatus": _COMPLETED,
            }


def _descriptor() -> dict[str, Any]:
    conforms = ["https://w3id.org/ro/crate/1.1", list(_PROFILES)[-1]]
    return {
        "@id": METADATA_FILE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": _references(conforms),
    }


def _parameters(run: Run) -> Iterator[dict[str, Any]]:
    for name, value in _given_parameters(run).items():
        plain = value if isinstance(value, str | int | float) else json.dumps(value)
        yield {"@id": _run_id(run, name), "@type": "PropertyValue", "name": name, "value": plain}


def _given_parameters(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.parameters.items() if value is not None}


def _run_id(run: Run, part: str = "") -> str:
    return f"#run/{run.run_id}" + (f"/{part}" if part else "")


def _tool_id(run: Run) -> str:
    return f"#{run.script}/{(run.script_digest or 'unknown').removeprefix('sha256:')[:12]}"


def _step_id(job: str) -> str:
    return f"#step/{job}"


def _environment_id(run: Run) -> str:
    packages = json.dumps(run.environment.get("packages", {}), sort_keys=True)
    return f"#python/{hashlib.sha256(packages.encode()).hexdigest()[:12]}"


def _engine_version(workflow_run: Run) -> str:
    return workflow_run.details["workflow"]["snakemake"]


def _user(workflow_run: Run) -> str:
    return workflow_run.details["workflow"]["user"]


def _person_id(user: str) -> str:
    return f"#person/{user}"


def _references(ids: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": one} for one in ids]


def _known(**properties: Any) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}
