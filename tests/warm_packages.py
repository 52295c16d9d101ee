"""The large packages, imported and used once, before the warm Python forks; see `warm_python`."""

import atexit
import ctypes
import gc
import importlib
import inspect
import io
import re
import weakref
from contextlib import suppress
from pathlib import Path

MODULES = (
    *("torch", "numpy", "yaml", "pydantic", "safetensors.torch", "psutil", "rich.progress"),
    *("torch.distributed", "torch.func", "torch.optim.lr_scheduler", "torch.utils.data"),
    *("torch.distributed.run", "torch._dynamo", "torch.profiler._cupti_monitor"),
    *("torch.distributed.fsdp", "torchmetrics", "pyarrow.csv", "pyarrow.parquet"),
    *("snakemake.cli", "snakemake.api", "snakemake.dag", "snakemake.logging", "sqlite3"),
    *("snakemake.executors.local", "snakemake.profiles", "snakemake.report.html_reporter"),
    *("snakemake.benchmark", "snakemake.assets", "snakemake.storage", "argparse_dataclass"),
    *("smart_open", "encodings.idna", "graphlib", "platformdirs"),
    *("pydantic.dataclasses", "pydantic._internal._serializers"),
    *("matplotlib.pyplot", "matplotlib.style.core"),
    *("mlflow", "mlflow.tracking.client", "tensorboard.summary.writer.record_writer"),
    *(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Ppm", "Png")),
)

_MADV_COLLAPSE = 25
_HUGE_PAGE = 1 << 21


def warm_up(scripts):
    """Import the packages and the modules of this repository, without garbage collection.

    Args:
        scripts: the folder of this repository's scripts and of the package.

    Returns:
        The code of the files in that folder by their bytes.
    """
    from kept_modules import KeptModules, compile_once
    from kept_snakefiles import keep_snakefiles

    gc.disable()
    for name in MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    code = compile_once(scripts)
    KeptModules(scripts, code)
    for make_first_use in (_find_plugins, _draw, inspect.stack):
        with suppress(ImportError):
            make_first_use()
    with suppress(ImportError):
        keep_snakefiles(scripts.parent)
    _leave_out_ends()
    gc.collect()
    gc.freeze()
    gc.enable()
    _use_huge_pages()
    return code


def _find_plugins():
    """Let Snakemake look for its plugins, for which it goes through all packages."""
    from snakemake import cli

    for kind in ("Executor", "Logger", "Report", "Scheduler", "Storage"):
        getattr(cli, f"{kind}PluginRegistry")()


def _draw():
    """Let matplotlib read its fonts, and make its tables of what can be set."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1e-3, 2, 3000], [1, 2, 3], label="a line")
    axes.set_xscale("log")
    axes.set_title("a title", weight="bold")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")


def _leave_out_ends():
    """Leave out what packages would do at the end of every fork, which nobody would see."""
    for finalizer in list(weakref.finalize._registry):
        # The operators of PyTorch need not be taken down one by one.
        finalizer.detach()
    with suppress(ImportError, AttributeError):
        from torch._dynamo.utils import dump_compile_times

        atexit.unregister(dump_compile_times)


def _use_huge_pages():
    """Let Linux put the memory into large pages, of which a fork copies a few, and not 100,000."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    # Start, end, permissions, and the inode, which is 0 for memory that is no file's.
    area = re.compile(r"^(\w+)-(\w+) rw-p \w+ \S+ 0\b", re.MULTILINE)
    for match in area.finditer(Path("/proc/self/maps").read_text()):
        start, end = int(match[1], 16), int(match[2], 16)
        for place in range(-(-start // _HUGE_PAGE) * _HUGE_PAGE, end - _HUGE_PAGE + 1, _HUGE_PAGE):
            # What Linux refuses stays as it is: it is empty, or this Linux cannot do it.
            advise(place, _HUGE_PAGE, _MADV_COLLAPSE)
