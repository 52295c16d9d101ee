"""The page of the folders: their order from the contract in pyproject.toml, drawn with the imports.

The contract says which imports are allowed. The drawing shows those that there are, so that both
can be compared by eye.
"""

import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import grimp

REPOSITORY = Path(__file__).resolve().parents[2]

_PURPOSES = {
    "frontdoor": "the command `memtrain`: a configuration for a table, the run, the other programs",
    "api": "the public names",
    "core": "errors, wording, ranges, random streams, byte sizes, number formats: no files",
    "system": "the machine: atomic files, canonical JSON, digests, file systems, memory",
    "config": "the settings: types, schema, parsing, reading; the layout of `results/`",
    "cli": "what the command line of every script shares: entry point, check of the environment",
    "data": "record files, `MemmapDataset`, statistics, manifest, source; `tables/`: import",
    "recipes": "the recipe of a split, withdrawals, integrity of rows",
    "workflow": "what the rules need: reachable code, resources of jobs, preempted jobs; no torch",
    "loading": "row order, readers, shuffle buffer, gathering, `BlockLoader`",
    "components": "models, losses, transforms, optimizers, schedulers: what a user can replace",
    "metrics": "what outputs of a model mean, and the metrics as sums over rows",
    "training": "trainer, checkpoints, history; `accumulation/`, `distributed/`",
    "planning": "from the configuration to recipes, with a dry run of the training step",
    "evaluation": "evaluator, standard errors, predictions",
    "inference": "a trained model on new rows: `load_model`",
    "reporting": "summary, status, `figures/`",
    "tracking": "mirrors trainings into TensorBoard and MLflow, by programs of their own",
    "lineage": "`records/`, `queries/`, `page/`, `export/`, `commands/`",
}
_ROW = 44
_BOX_WIDTH = 160
_BOX_HEIGHT = 26
#: Room beside the boxes for the arrows.
_MARGIN = 280


@dataclass(frozen=True)
class Folders:
    """The folders of the package.

    Attributes:
        order: their names, from the one that may import all others to the one that imports none.
        imports: how many modules of a folder import one of another, by the pair of folders.
    """

    order: list[str]
    imports: dict[tuple[str, str], int]


def read_folders() -> Folders:
    """Return the folders in the order of the contract, and the imports between them.

    Raises:
        ValueError: for a folder without a word about its purpose, or a purpose without a folder.
    """
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    order = [name.strip() for layer in contract["layers"] for name in layer.split(":")]
    if differing := set(order) ^ set(_PURPOSES):
        raise ValueError(f"docs/generate/architecture.py and the contract differ in {differing}")
    return Folders(order, _imports_between(order))


def architecture_table() -> str:
    """Return the table of the folders, as Markdown."""
    rows = [f"| `{name}` | {_PURPOSES[name]} |" for name in read_folders().order]
    return "\n".join(["| folder | what lives there |", "|---|---|", *rows, ""])


def architecture_drawing() -> str:
    """Return the folders and the imports between them, as SVG."""
    folders = read_folders()
    place = {name: index for index, name in enumerate(folders.order)}
    lead_up = any(place[end] < place[start] for start, end in folders.imports)
    left = _MARGIN if lead_up else 0
    width = left + _BOX_WIDTH + _MARGIN
    height = len(folders.order) * _ROW
    arrows = [
        _arrow(left, place[start], place[end], count)
        for (start, end), count in folders.imports.items()
    ]
    boxes = [_box(left, index, name) for name, index in place.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        ' font-family="sans-serif" font-size="14">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
        ' markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6b7f"/></marker></defs>\n'
        + "\n".join([*arrows, *boxes])
        + "\n</svg>\n"
    )


def _imports_between(order: list[str]) -> dict[tuple[str, str], int]:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    graph = grimp.build_graph("memtrain", exclude_type_checking_imports=True, cache_dir=None)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for module in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            folders = tuple(name.split(".")[1] for name in (module, imported) if "." in name)
            if len(folders) == 2 and folders[0] != folders[1]:
                counts[(folders[0], folders[1])] += 1
    return dict(counts)


def _box(left: int, index: int, name: str) -> str:
    top = index * _ROW + 8
    middle = left + _BOX_WIDTH / 2
    return (
        f'<rect x="{left + 1}" y="{top}" width="{_BOX_WIDTH - 2}" height="{_BOX_HEIGHT}" rx="4"'
        f' fill="#eef2f7" stroke="#5b6b7f"/><text x="{middle}" y="{top + 18}" text-anchor="middle"'
        f' fill="#1f2933">{name}</text>'
    )


def _arrow(left: int, start: int, end: int, count: int) -> str:
    """Return an arrow: on the right where it leads down the list, on the left, red, where up."""
    down = end > start
    side = left + _BOX_WIDTH if down else left
    bend = side + (1 if down else -1) * (30 + 16 * abs(end - start))
    # Arrows leave a box at its lower half and reach another at its upper half.
    leaves, arrives = start * _ROW + 25, end * _ROW + 17
    colour = "#5b6b7f" if down else "#c62828"
    width = 0.6 + min(count, 20) / 10
    return (
        f'<path d="M{side} {leaves} C{bend} {leaves} {bend} {arrives} {side} {arrives}" fill="none"'
        f' stroke="{colour}" stroke-width="{width:.1f}" opacity="0.6" marker-end="url(#head)">'
        f"<title>{count} imports</title></path>"
    )
