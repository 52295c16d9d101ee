"""Runs one point, and writes what it finds to a file, a line of JSON for each finding."""

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.gpu.findings import Setting
from memtrain.components.device import choose_device


def main(argv: list[str]) -> int:
    """Run the point whose module the command line names, on a device, and write to a file."""
    module, device, path = argv
    find = importlib.import_module(module).find
    with open(path, "w", buffering=1) as file:
        for finding in find(Setting(choose_device(device))):
            print(json.dumps(asdict(finding)), file=file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
