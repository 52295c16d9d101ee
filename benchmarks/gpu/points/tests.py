"""The tests that are marked ``gpu``."""

import re
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.gpu.findings import NEEDS_A_GPU, Finding, Setting
from benchmarks.gpu.running import ROOT

_OUTCOME = re.compile(r"^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")


def find(setting: Setting) -> Iterator[Finding]:
    """Yield every test, as soon as it has run."""
    files = sorted(str(path) for path in (ROOT / "tests/unit").rglob("test_gpu*.py"))
    options = ["-v", "-m", "gpu", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        if match := _OUTCOME.match(line):
            name, outcome = match.groups()
            test = name.split("::", 1)[1].replace("_", " ").removeprefix("test ")
            skipped = "skipped" if setting.on_gpu else NEEDS_A_GPU
            said = skipped if outcome == "SKIPPED" else outcome.lower()
            yield Finding(test, said, is_wrong=outcome in ("FAILED", "ERROR", "XPASS"))
    status = process.wait()
    if status not in (0, 1):
        raise RuntimeError(f"pytest ended with status {status}")
