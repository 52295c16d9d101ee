"""What is measured: every program, where it is installed from, and how it shuffles."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """One line of the table, or two where it has worker processes.

    Attributes:
        name: on the command line.
        title: in the table.
        shuffle: how far its rows come from each other.
        package: whose version is told; none for what is of this repository.
        requirements: what its own environment needs besides torch and numpy; without any, it runs
            in the environment of the project.
        workers: the numbers of worker processes that it can have.
        module: of ``programs``, where that is not the name.
        options: further arguments of the loader.
        ceiling: it is no loader, and shows what the machine is able to.
        warm: measured by default where the rows are in the page cache.
        cold: measured by default where they are on the disk alone.
    """

    name: str
    title: str
    shuffle: str
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
    "memcpy", "np.copyto (ceiling)", "none", "numpy", workers=(0,), module="memcpy", ceiling=True
)
TAKE = Program("take", "np.take (ceiling)", "global", "numpy", workers=(0,), ceiling=True)
LARGE_READS = _block_reads("read_1_mib", "1 MiB", 1 << 20)
SMALL_READS = _block_reads("read_256_kib", "256 KiB", 1 << 18)
ROW_BY_ROW = Program(
    "row_by_row", "np.memmap, row by row, in a DataLoader", "global", "torch", cold=True
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
        "scdataset", "scDataset", "blocks in a fetch", "scdataset", ("scdataset==0.3.0",), cold=True
    ),
    Program("tensordict", "tensordict", "global", "tensordict", ("tensordict==0.15.3",)),
    Program(
        "torchdata",
        "torchdata, with `__getitems__`",
        "global",
        "torchdata",
        ("torchdata==0.11.0",),
    ),
    Program(
        "zarr",
        "zarr, 64 chunks at once",
        "chunks in a buffer",
        "zarr",
        ("zarr==3.1.6",),
        workers=(0,),
    ),
    Program("datasets", "Hugging Face datasets", "global", "datasets", ("datasets==5.2.0",)),
    Program(
        "litdata",
        "LitData, `TokensLoader`",
        "chunks, then inside each",
        "litdata",
        ("litdata==0.2.76",),
        cold=True,
    ),
    Program("grain", "Grain", "global", "grain", ("grain==0.2.18",)),
    Program(
        "webdataset",
        "WebDataset",
        "shards, then a buffer",
        "webdataset",
        ("webdataset==1.0.2",),
    ),
    Program(
        "streaming",
        "MosaicML Streaming",
        "shards and blocks",
        "mosaicml-streaming",
        # transformers, which it needs, does not go with a later hub.
        ("mosaicml-streaming==0.13.0", "huggingface-hub<1"),
    ),
]


def chosen(names: list[str] | None, cold: bool) -> list[Program]:
    """Return the programs of these names, or all; the ceilings and the reference in any case."""
    measured = [program for program in PROGRAMS if (program.cold if cold else program.warm)]
    if names is None:
        return measured
    always = [program for program in measured if program.ceiling or program is ROW_BY_ROW]
    named = [program for program in PROGRAMS if program.name in names and program not in always]
    return always + named
