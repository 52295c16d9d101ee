"""What two processes of one machine take to exchange a message, and what a training makes of it."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("exchange_program.py")

#: Bytes of the gradients of 20-64-1, of 128-256-1, and of six million parameters.
SIZES = {"20-64-1": 5_636, "128-256-1": 133_124, "6.3 million parameters": 25_198_596}


def main() -> str:
    """Return the table."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    sizes = [str(size // 4 * 4) for size in SIZES.values()]
    done = subprocess.run(
        [*launcher, str(PROGRAM), *sizes], check=True, capture_output=True, text=True
    )
    names = dict(zip(sizes, SIZES, strict=True))
    lines = [
        "### Two processes: one exchange, in microseconds",
        "",
        "| bytes | way | median (10 % to 90 %) | CPU time of one process |",
        "|---|---|---|---|",
    ]
    for way, size, seconds, cpu_seconds in json.loads(done.stdout):
        low, middle, high = (seconds[len(seconds) * tenths // 10] * 1e6 for tenths in (1, 5, 9))
        times = f"{middle:,.0f} ({low:,.0f} to {high:,.0f}) | {cpu_seconds * 1e6:,.0f}"
        lines.append(f"| {size:,} ({names[str(size)]}) | {way} | {times} |")
    return "\n".join(lines)
