"""Train several small models over one file, in one pass each or all in one pass; print JSON.

Other programs run this within a memory cgroup. In both ways every model sees the same batches in
the same order, so that its weights are the same.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import torch
from torch import nn

from memtrain.cli.entry_point import argument_parser
from memtrain.config.training import ShuffleSettings
from memtrain.data.memmap_dataset import MemmapDataset
from memtrain.loading.block_loader import BlockLoader

BATCH = 1024
BUFFER_BYTES = 32 << 20


class Training:
    """A small model and its optimizer.

    Args:
        columns: columns of the rows. The first holds the number of the row, the last the target.
        hidden: width of the hidden layer; 0 for a linear model.
        seed: seed of the initial weights.
    """

    def __init__(self, columns: int, hidden: int, seed: int):
        torch.manual_seed(seed)
        inputs = columns - 2
        layers = [nn.Linear(inputs, hidden), nn.ReLU()] if hidden else []
        self._model = nn.Sequential(*layers, nn.Linear(hidden or inputs, 1))
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.001 * (seed + 1))

    def step(self, rows: torch.Tensor) -> None:
        """Take one optimizer step with a batch, float32 (rows, columns)."""
        loss = nn.functional.mse_loss(self._model(rows[:, 1:-1]), rows[:, -1:])
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def weights(self) -> bytes:
        """Return the bytes of all weights."""
        return b"".join(part.numpy().tobytes() for part in self._model.state_dict().values())


def run(path: str, program: str, models: int, hidden: int) -> dict:
    """Run a program, and return its rows, seconds, CPU seconds, bytes read and weights' digest."""
    dataset = MemmapDataset(path)
    columns = dataset.layout.row_shape[0]
    trainings = [Training(columns, hidden, seed) for seed in range(models)]
    groups = [trainings] if program == "one-pass" else [[one] for one in trainings]
    start, cpu_start, read_start = time.perf_counter(), time.process_time(), bytes_read()
    for group in groups:
        shuffle = ShuffleSettings(buffer_bytes=BUFFER_BYTES)
        for rows in BlockLoader(dataset, BATCH, shuffle=shuffle, seed=1):
            for training in group:
                training.step(rows)
    weights = b"".join(training.weights() for training in trainings)
    return {
        "rows": models * len(dataset),
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu_start,
        "bytes_read": bytes_read() - read_start,
        "digest": hashlib.sha256(weights).hexdigest(),
    }


def bytes_read() -> int:
    """Return the bytes that this process has read from disks."""
    return int(re.search(r"^read_bytes: (\d+)", Path("/proc/self/io").read_text(), re.M)[1])


def main(argv: list[str] | None = None) -> int:
    """Run one program, and print its result."""
    parser = argument_parser(__name__)
    parser.add_argument("path")
    parser.add_argument("program", choices=["a-pass-each", "one-pass"])
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=0)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(json.dumps(run(args.path, args.program, args.models, args.hidden)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
