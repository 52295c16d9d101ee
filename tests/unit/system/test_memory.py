"""The memory that is left, and the peak: on machines made of files, and under real limits."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from memtrain.system.file_systems import file_system_of
from memtrain.system.memory import AvailableMemory, available_memory, memory_cgroups
from tests.cgroups import UnavailableError, memory_cgroup

MIB = 2**20
GIB = 2**30
NO_LIMIT_V1 = "9223372036854771712"

V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V2_MOUNT = "38 31 0:38 {root} /sys/fs/cgroup{below} rw,nosuid - cgroup2 cgroup2 rw\n"
CPU_MOUNT = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"

V1_TOP = "sys/fs/cgroup/memory"
V2_TOP = "sys/fs/cgroup"


class Machine:
    """The files of a machine with 16 GiB of memory, 10 of them available."""

    def __init__(self, root):
        self.root = root
        fields = ["Buffers", "Cached", "Active", "Inactive", "Shmem"]
        self.write(
            "proc/meminfo",
            "MemTotal:       16777216 kB\nMemFree:   1048576 kB\nMemAvailable:   10485760 kB\n"
            + "".join(f"{field}: 0 kB\n" for field in fields),
        )

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def join(self, cgroup, mountinfo):
        self.write("proc/self/cgroup", cgroup)
        self.write("proc/self/mountinfo", mountinfo)

    def v1(self, path, limit, usage, inactive=0, active=0):
        self.write(f"{path}/memory.limit_in_bytes", f"{limit}\n")
        self.write(f"{path}/memory.usage_in_bytes", f"{usage}\n")
        self.write(
            f"{path}/memory.stat",
            f"inactive_file 1\nactive_file 1\ntotal_inactive_file {inactive}\n"
            f"total_active_file {active}\n",
        )

    def v2(self, path, limit, usage, inactive=0, active=0, high="max"):
        self.write(f"{path}/memory.max", f"{limit}\n")
        self.write(f"{path}/memory.high", f"{high}\n")
        self.write(f"{path}/memory.current", f"{usage}\n")
        self.write(
            f"{path}/memory.stat",
            f"anon 5\nworkingset_inactive_file 9\ninactive_file {inactive}\nactive_file {active}\n",
        )

    @property
    def available(self):
        return available_memory(self.root)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "proc"), raising=False)
    return Machine(tmp_path)


def test_without_limits_the_memory_of_the_machine_counts(machine):
    assert machine.available == AvailableMemory(
        10 * GIB, "the machine (memory 16 GiB, 6 GiB in use)"
    )


LIMITED = """
import resource
from memtrain.system.memory import available_memory

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
before = available_memory()
taken = bytearray(500 << 20)
after = available_memory()
print(before.bytes, after.bytes, after.source, sep="\\n")
"""


@pytest.mark.slow
def test_a_limit_of_the_address_space(python):
    before, after, source = python(LIMITED).splitlines()
    assert 500 * MIB <= int(before) - int(after) < 501 * MIB
    assert int(after) < 2 * GIB - 500 * MIB
    assert source.startswith("the address space of the process (ulimit -v 2 GiB, ")


def test_a_cgroup_of_version_1(machine):
    machine.join("5:cpu,cpuacct:/\n4:memory:/slurm/job_7\n", CPU_MOUNT + V1_MOUNT.format(root="/"))
    machine.v1(V1_TOP, NO_LIMIT_V1, 8 * GIB)
    machine.v1(f"{V1_TOP}/slurm", NO_LIMIT_V1, 6 * GIB)
    machine.v1(f"{V1_TOP}/slurm/job_7", 4 * GIB, 3 * GIB, inactive=GIB, active=GIB // 2)
    assert machine.available == AvailableMemory(
        5 * GIB // 2, "the memory cgroup /slurm/job_7 (limit 4 GiB, 1.5 GiB in use)"
    )
    top = machine.root / V1_TOP
    machine.write("sys/fs/cgroup/cpu/slurm/job_7/cgroup.procs", "1\n")
    found = [cgroup.folder for cgroup in memory_cgroups(machine.root)]
    assert found == [top / "slurm" / "job_7", top / "slurm", top]


def test_a_cgroup_of_version_2(machine):
    machine.join("0::/user.slice/job:7\n", V2_MOUNT.format(root="/", below=""))
    machine.v2(f"{V2_TOP}/user.slice", "max", 6 * GIB)
    machine.v2(f"{V2_TOP}/user.slice/job:7", 4 * GIB, 3 * GIB, inactive=GIB, active=GIB // 2)
    assert machine.available == AvailableMemory(
        5 * GIB // 2, "the memory cgroup /user.slice/job:7 (limit 4 GiB, 1.5 GiB in use)"
    )


def test_the_lower_limit_of_version_2_holds(machine):
    machine.join("0::/job\n", V2_MOUNT.format(root="/", below=""))
    machine.v2(f"{V2_TOP}/job", 4 * GIB, GIB, high=3 * GIB)
    assert machine.available == AvailableMemory(
        2 * GIB, "the memory cgroup /job (limit 3 GiB, 1 GiB in use)"
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_cgroup_further_up_may_leave_less(machine, version):
    if version == "v1":
        machine.join("4:memory:/a/b/c\n", V1_MOUNT.format(root="/"))
    else:
        machine.join("0::/a/b/c\n", V2_MOUNT.format(root="/", below=""))
    top = V1_TOP if version == "v1" else V2_TOP
    write = getattr(machine, version)
    write(f"{top}/a", 8 * GIB, 7 * GIB)
    write(f"{top}/a/b", 6 * GIB, 2 * GIB)
    write(f"{top}/a/b/c", 4 * GIB, GIB)
    assert machine.available == AvailableMemory(
        GIB, "the memory cgroup /a (limit 8 GiB, 7 GiB in use)"
    )


def test_both_versions_at_once(machine):
    mounts = V1_MOUNT.format(root="/") + V2_MOUNT.format(root="/", below="/unified")
    machine.join("4:memory:/job\n0::/session\n", mounts)
    machine.write(f"{V2_TOP}/unified/session/cgroup.procs", "1\n")
    machine.v1(f"{V1_TOP}/job", 2 * GIB, GIB)
    assert machine.available.bytes == GIB
    assert [cgroup.name for cgroup in memory_cgroups(machine.root)] == [
        "/job",
        "/",
        "/session",
        "/",
    ]


@pytest.mark.parametrize(
    ("name", "root", "shown"),
    [
        ("/docker/abc", "/docker/abc", "/docker/abc"),  # the host's view, the container's mount
        ("/docker/abc", "/", "/"),  # the host's view of a name, and nothing of the host mounted
        ("/", "/", "/"),  # a namespace of cgroups
        ("/../../kubepods/x", "/", "/"),  # moved into the namespace from outside
    ],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_in_a_container_the_mount_is_the_cgroup(machine, version, name, root, shown):
    if version == "v1":
        machine.join(f"4:memory:{name}\n", V1_MOUNT.format(root=root))
        machine.v1(V1_TOP, GIB, GIB // 4)
    else:
        machine.join(f"0::{name}\n", V2_MOUNT.format(root=root, below=""))
        machine.v2(V2_TOP, GIB, GIB // 4)
    assert machine.available == AvailableMemory(
        3 * GIB // 4, f"the memory cgroup {shown} (limit 1 GiB, 256 MiB in use)"
    )
    assert [cgroup.name for cgroup in memory_cgroups(machine.root)] == [shown]


def test_a_name_from_outside_is_not_looked_up_in_the_mount(machine):
    machine.join("0::/user.slice/job\n", V2_MOUNT.format(root="/docker/abc", below=""))
    machine.v2(f"{V2_TOP}/job", GIB, GIB // 4)
    assert [cgroup.name for cgroup in memory_cgroups(machine.root)] == ["/docker/abc"]
    assert machine.available.bytes == 10 * GIB


def test_a_cgroup_within_a_container(machine):
    machine.join("0::/docker/abc/job\n", V2_MOUNT.format(root="/docker/abc", below=""))
    machine.v2(f"{V2_TOP}/job", GIB, GIB // 4)
    assert machine.available.source.startswith("the memory cgroup /docker/abc/job (")


def test_a_cgroup_over_its_limit_leaves_nothing(machine):
    machine.join("0::/job\n", V2_MOUNT.format(root="/", below=""))
    machine.v2(f"{V2_TOP}/job", GIB, 2 * GIB, inactive=MIB)
    assert machine.available.bytes == 0


def test_more_cached_pages_than_memory_in_use_do_not_raise_the_limit(machine):
    machine.join("0::/job\n", V2_MOUNT.format(root="/", below=""))
    machine.v2(f"{V2_TOP}/job", GIB, MIB, inactive=2 * MIB)
    assert machine.available.bytes == GIB


def test_a_machine_without_proc(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "nothing"), raising=False)
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert available_memory(tmp_path / "nothing").bytes == physical


def test_this_machine_has_memory_left():
    available = available_memory()
    assert 0 < available.bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


PEAK_OF_A_CHILD = """
import subprocess, sys
taken = bytearray(b"1") * (300 << 20)
program = "from memtrain.system.memory import peak_memory_bytes; print(peak_memory_bytes())"
subprocess.run([sys.executable, "-c", program], check=True)
"""

PEAK_AFTER_ITS_TIME = """
from memtrain.system.memory import peak_memory_bytes
taken = bytearray(b"1") * (300 << 20)
del taken
print(peak_memory_bytes())
"""


@pytest.mark.slow
def test_the_peak_does_not_include_that_of_the_parent_process(python):
    assert int(python(PEAK_OF_A_CHILD)) < 150 * MIB


@pytest.mark.slow
def test_the_peak_remembers_memory_that_was_given_back(python):
    assert 300 * MIB < int(python(PEAK_AFTER_ITS_TIME)) < 450 * MIB


@pytest.fixture
def python(repository):
    """Return a function that runs a program in a process of its own, and returns its output."""

    def run(program):
        return subprocess.check_output(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": str(repository / "scripts")},
            text=True,
        )

    return run


REPORT = """
import dataclasses, json, sys
from memtrain.system.memory import available_memory

def report():
    print(json.dumps(dataclasses.asdict(available_memory())))

report()
for times in range(2):
    with open(sys.argv[1], "rb") as file:
        while file.read(2**20):
            pass
    report()
"""


@pytest.fixture
def cgroup():
    try:
        with memory_cgroup(300 * MIB) as cgroup:
            yield cgroup
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def uncached(tmp_path):
    """Return a file of 150 MiB that lies on the disk alone."""
    path = tmp_path / "rows"
    if file_system_of(path).kind in ("tmpfs", "ramfs"):
        pytest.skip("the files of tests lie in memory here, and are no cached pages")
    with open(path, "wb") as file:
        for _ in range(150):
            file.write(bytes(MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


@pytest.mark.slow
def test_in_a_real_cgroup_the_pages_of_files_are_free(repository, cgroup, uncached):
    """Pages that were read twice count as active; the kernel gives them up at need all the same."""
    reported = cgroup.run(
        [sys.executable, "-c", REPORT, uncached],
        env=os.environ | {"PYTHONPATH": str(repository / "scripts")},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    before, *after = [json.loads(line) for line in reported.splitlines()]
    assert 200 * MIB < before["bytes"] < 300 * MIB
    assert f"{cgroup.folder.name} (limit 300 MiB, " in before["source"]
    assert cgroup.peak_bytes > 150 * MIB, "the file was read without being cached here"
    for report in after:
        assert abs(report["bytes"] - before["bytes"]) < 16 * MIB
