"""What every program takes for a task that is next to nothing, beside what `import torch` takes.

CPU seconds are counted, of a program and of what it starts: they depend less than its time on what
else the machine does. Programs run in turn, with one thread, with bytecode that is cached. Of the
commands of `memtrain`, those to the first character that they print are counted, too.
"""

import os
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


#: The commands of `memtrain` of which the first output is awaited.
FIRST_OUTPUTS = (
    "",
    "--help",
    "init --help",
    "init table.csv",
    "run --help",
    "run --dry-run",
    "status --help",
    "status --once",
    "lineage --help",
    "lineage impact --help",
    "lineage impact --rows 0:10",
    "predict --help",
    "export --help",
    "track --help",
    "describe_table --help",
    "check_components --help",
    "clean --help",
    "completion bash",
)


def cpu_seconds_to_output(folder: Path, command: str) -> float:
    """Return the CPU seconds that a command of `memtrain` takes until it prints something."""
    variables = environment() | {"OMP_NUM_THREADS": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        [sys.executable, "scripts/memtrain_command.py", *command.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=variables,
    ) as program:
        assert program.stdout is not None
        program.stdout.read(1)
        # Behind the name, in parentheses: the 12th and the 13th are user and system time.
        facts = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
        program.stdout.read()
    return sum(map(int, facts[11:13])) / os.sysconf("SC_CLK_TCK")


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
    """Return the tables of CPU seconds, and of those to the first output."""
    seconds: dict[str, list[float]] = {task: [] for task in TASKS}
    outputs: dict[str, list[float]] = {command: [] for command in FIRST_OUTPUTS}
    with tempfile.TemporaryDirectory() as name:
        folder = make_resolved_project(Path(name), splits=1, rows_trained=ROWS_TRAINED)
        (folder / "table.csv").write_text("x,y\n" + "1.5,2.5\n" * 100)
        for run in range(RUNS + 1):
            for task, arguments in TASKS.items():
                taken = cpu_seconds(folder, arguments)
                if run:
                    seconds[task].append(taken)
            for command, waited in outputs.items():
                taken = cpu_seconds_to_output(folder, command)
                if run:
                    waited.append(taken)
    return f"{_table(seconds)}\n\n{_outputs_table(outputs)}"


def _outputs_table(outputs: dict[str, list[float]]) -> str:
    lines = ["| command | CPU seconds to its first output, median (range) |", "|---|---|"]
    for command, waited in outputs.items():
        lines.append(f"| `{f'memtrain {command}'.strip()}` | {spread(waited, '{:.2f}')} |")
    return "\n".join(lines)


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
