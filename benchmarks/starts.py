"""What every program takes for a task that is next to nothing, beside what `import torch` takes.

CPU seconds are counted, of a program and of what it starts: they depend less than its time on what
else the machine does. Programs run in turn, with one thread, with bytecode that is cached.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.many_splits import environment, make_resolved_project
from benchmarks.measuring import spread

RUNS = 7
ROWS_TRAINED = 2_000

_RECORDS = ("--records", "results/x/lineage")
_SPLIT = "results/x/splits/s0"

#: The arguments of Python, by the task that it does.
TASKS = {
    "`import torch`": ("-c", "import torch"),
    "`generate_data`, 1,000 rows": (
        *("scripts/generate_data.py", "--settings", "{rows: 1000, features: 3}"),
        *("--data", "d.npy", "--source", "s.json", *_RECORDS),
    ),
    "`index_shards`, 10,000 rows": (
        *("scripts/index_shards.py", "--data", "results/x/data.npy"),
        *("--manifest", "m.json", *_RECORDS),
    ),
    "`train`, 2,000 rows": (
        *("scripts/train.py", "--data", "results/x/data.npy", "--split", f"{_SPLIT}/split.json"),
        *("--model", f"{_SPLIT}/model.safetensors", "--history", f"{_SPLIT}/history.csv"),
        *("--performance", f"{_SPLIT}/performance.json", *_RECORDS),
    ),
    "`evaluate`, 100 rows": (
        *("scripts/evaluate.py", "--data", "results/x/data.npy"),
        *("--split", f"{_SPLIT}/split.json", "--model", f"{_SPLIT}/model.safetensors"),
        *("--history", f"{_SPLIT}/history.csv", "--evaluation", f"{_SPLIT}/evaluation.json"),
        *("--predictions", f"{_SPLIT}/predictions.npy", *_RECORDS),
    ),
    "`status`": ("scripts/status.py",),
    "`lineage impact`": ("scripts/lineage.py", "impact", "--rows", "0:10"),
}


def cpu_seconds(folder: Path, arguments: tuple[str, ...]) -> float:
    """Return the CPU seconds of Python and what it starts, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    variables = environment() | {"OMP_NUM_THREADS": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, check=True, capture_output=True, env=variables
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> str:
    """Return the table of CPU seconds."""
    seconds: dict[str, list[float]] = {task: [] for task in TASKS}
    with tempfile.TemporaryDirectory() as name:
        folder = make_resolved_project(Path(name), splits=1, rows_trained=ROWS_TRAINED)
        for run in range(RUNS + 1):
            for task, arguments in TASKS.items():
                taken = cpu_seconds(folder, arguments)
                if run:
                    seconds[task].append(taken)
    return _table(seconds)


def _table(seconds: dict[str, list[float]]) -> str:
    base = seconds["`import torch`"]
    lines = [
        "| starts | CPU seconds, median (range) | times `import torch`, median (range) |",
        "|---|---|---|",
    ]
    for task, taken in seconds.items():
        ratios = [one / other for one, other in zip(taken, base, strict=True)]
        lines.append(f"| {task} | {spread(taken, '{:.2f}')} | {spread(ratios, '{:.2f}')} |")
    return "\n".join(lines)
