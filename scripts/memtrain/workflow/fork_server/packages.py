"""The packages of others that trainings and evaluations import, and whether they have changed.

Nothing of memtrain or of the user is among them: a job imports that itself, as it lies on the disk.
"""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

#: What a training and an evaluation import; each imports much more.
PACKAGES = (
    *("numpy", "yaml", "psutil", "ml_dtypes", "safetensors.torch", "torchmetrics"),
    *("pydantic.main", "pydantic.types", "pydantic.type_adapter"),
    *("pydantic.functional_serializers", "annotated_types"),
    *("torch", "torch.func", "torch.optim.lr_scheduler", "torch._dynamo"),
    *("torch.distributed.fsdp", "torch.distributed.checkpoint"),
)


@dataclass(frozen=True)
class Imported:
    """How the imports went.

    Attributes:
        error: why one of them failed; "" if none did.
        messages: what they have printed, which every job has to print as well.
    """

    error: str
    messages: bytes


def import_packages() -> Imported:
    """Import the packages, in a process that has one thread and keeps it.

    What they made lies where no garbage collection looks, so that forks go on sharing it.
    """
    gc.disable()
    error, variables = "", dict(os.environ)
    with _printed() as messages:
        try:
            for name in PACKAGES:
                importlib.import_module(name)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
    # Imports set variables as well; a job has those that it was started with.
    for variable in set(os.environ) - set(variables):
        del os.environ[variable]
    os.environ.update(variables)
    gc.collect()
    gc.freeze()
    gc.enable()
    _end_threads()
    with messages:
        messages.seek(0)
        return Imported(error, messages.read())


@contextmanager
def _printed() -> Iterator[BinaryIO]:
    """Let what is printed go to a file in memory meanwhile, and yield it."""
    file = os.fdopen(os.memfd_create("printed"), "w+b")
    former = {number: os.dup(number) for number in (1, 2)}
    for number in former:
        os.dup2(file.fileno(), number)
    try:
        yield file
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, other in former.items():
            os.dup2(other, number)
            os.close(other)


def _end_threads() -> None:
    """End the threads of OpenBLAS.

    It starts them when it is loaded, ends them before a fork, and starts them again when there is
    something to compute.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def state_of_packages() -> "list[tuple[str, int | None]]":
    """Return when the packages, and the folders that they are looked for in, have changed.

    The first folder is that of memtrain's own code, which jobs import themselves.
    """
    files = [sys.modules[name].__file__ for name in PACKAGES if name in sys.modules]
    return [(path, _changed_at(path)) for path in [*sys.path[1:], *filter(None, files)]]


def _changed_at(path: str) -> "int | None":
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
