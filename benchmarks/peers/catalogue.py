"""The programs that are measured: how each is installed, and how it shuffles."""

from dataclasses import KW_ONLY, dataclass, field


@dataclass(frozen=True)
class Program:
    """A program: one line of the table, or two if it can have worker processes.

    Attributes:
        name: name on the command line.
        title: name in the table.
        shuffle: how widely the program mixes rows.
        package: package whose version the table shows; empty for programs of this repository.
        requirements: packages that its own environment needs in addition to torch and numpy;
            empty for a program that runs in the environment of the project.
        workers: numbers of worker processes that the program can have.
        module: module of ``programs``; empty if it has the name of the program.
        options: further arguments of the loader.
        ceiling: whether the program is not a loader, but shows what the machine allows.
        warm: whether it is measured by default with rows in the page cache.
        cold: whether it is measured by default with rows that are only on the disk.
    """

    name: str
    title: str
    shuffle: str
    _: KW_ONLY
    package: str = ""
    requirements: tuple[str, ...] = ()
    workers: tuple[int, ...] = (0, 2)
    module: str = ""
    options: dict = field(default_factory=dict)
    ceiling: bool = False
    warm: bool = True
    cold: bool = False


def _block_reads(name: str, size: str, block_bytes: int) -> Program:
    return Program(
        name,
        f"random blocks of {size}, 4 threads (ceiling)",
        "none",
        workers=(0,),
        module="block_reads",
        options={"block_bytes": block_bytes, "threads": 4},
        ceiling=True,
        warm=False,
        cold=True,
    )


MEMCPY = Program(
    "memcpy",
    "np.copyto (ceiling)",
    "none",
    package="numpy",
    workers=(0,),
    module="memcpy",
    ceiling=True,
)
TAKE = Program("take", "np.take (ceiling)", "global", package="numpy", workers=(0,), ceiling=True)
LARGE_READS = _block_reads("read_1_mib", "1 MiB", 1 << 20)
SMALL_READS = _block_reads("read_256_kib", "256 KiB", 1 << 18)
ROW_BY_ROW = Program(
    "row_by_row", "np.memmap, row by row, in a DataLoader", "global", package="torch", cold=True
)

PROGRAMS = [
    MEMCPY,
    TAKE,
    LARGE_READS,
    SMALL_READS,
    ROW_BY_ROW,
    Program("memmap_dataset", "**MemmapDataset** in a DataLoader", "global", cold=True),
    Program("block_loader", "**BlockLoader**", "blocks in a buffer", workers=(0,), cold=True),
    Program(
        "block_loader_copies",
        "**BlockLoader**, every batch a copy",
        "blocks in a buffer",
        workers=(0,),
        module="block_loader",
        options={"copy": True},
    ),
    Program(
        "scdataset",
        "scDataset",
        "blocks in a fetch",
        package="scdataset",
        requirements=("scdataset==0.3.0",),
        cold=True,
    ),
    Program(
        "tensordict",
        "tensordict",
        "global",
        package="tensordict",
        requirements=("tensordict==0.15.3",),
    ),
    Program(
        "torchdata",
        "torchdata, with `__getitems__`",
        "global",
        package="torchdata",
        requirements=("torchdata==0.11.0",),
    ),
    Program(
        "zarr",
        "zarr, 64 chunks at once",
        "chunks in a buffer",
        package="zarr",
        requirements=("zarr==3.1.6",),
        workers=(0,),
    ),
    Program(
        "datasets",
        "Hugging Face datasets",
        "global",
        package="datasets",
        requirements=("datasets==5.2.0",),
    ),
    Program(
        "litdata",
        "LitData, `TokensLoader`",
        "chunks, then inside each",
        package="litdata",
        requirements=("litdata==0.2.76",),
        cold=True,
    ),
    Program("grain", "Grain", "global", package="grain", requirements=("grain==0.2.18",)),
    Program(
        "webdataset",
        "WebDataset",
        "shards, then a buffer",
        package="webdataset",
        requirements=("webdataset==1.0.2",),
    ),
    Program(
        "streaming",
        "MosaicML Streaming",
        "shards and blocks",
        package="mosaicml-streaming",
        # It needs transformers, which does not work with a later huggingface-hub.
        requirements=("mosaicml-streaming==0.13.0", "huggingface-hub<1"),
    ),
]


def select_programs(names: list[str] | None, cold: bool) -> list[Program]:
    """Return the programs to measure, which always include the ceilings and the baseline.

    Args:
        names: names of programs; None for all that are measured by default.
        cold: whether the rows are only on the disk.
    """
    measured = [program for program in PROGRAMS if (program.cold if cold else program.warm)]
    if names is None:
        return measured
    always = [program for program in measured if program.ceiling or program is ROW_BY_ROW]
    named = [program for program in PROGRAMS if program.name in names and program not in always]
    return always + named
