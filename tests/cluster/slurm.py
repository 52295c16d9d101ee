"""A real Slurm of four nodes on this machine, which runs as long as a session of tests."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

#: Default path, since the executor plugin removes SLURM_CONF from the environment of jobs.
CONFIGURATION_FILE = Path("/etc/slurm/slurm.conf")

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")

#: Each node claims more than this machine has, so that jobs of several tests can run at once.
CONFIGURATION = """\
ClusterName=memtrain_tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credentials expire, which takes two minutes by default.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
KillWait=20
MinJobAge=300
# A large cluster schedules slowly on purpose; this one does not.
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=200000,batch_sched_delay=0,default_queue_depth=500
SlurmdTimeout=20
# A job of high priority preempts one of low priority; the partition decides what becomes of that.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
NodeName=DEFAULT CPUs={cpus} RealMemory={memory_mb}
NodeName=n[1-4] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{nodes}]
PartitionName=main Nodes=n[1-2] Default=YES
PartitionName=requeued Nodes=n3 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=cancelled Nodes=n3 PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=n3 PriorityTier=9 PreemptMode=OFF
PartitionName=doomed Nodes=n4
"""

NODES = ("n1", "n2", "n3", "n4")
CPUS = 8
MEMORY_MB = 40_000


def reason_unavailable() -> str | None:
    """Return why no Slurm can be started here; None if one can be."""
    if missing := [name for name in PROGRAMS if not program(name)]:
        return f"{', '.join(missing)}: not installed; apt-get install slurm-wlm munge"
    try:
        import snakemake_executor_plugin_slurm  # noqa: F401
    except ImportError:
        return "the executor plugin is not installed: pip install -r envs/requirements-slurm.txt"
    if os.geteuid():
        return f"only root can write {CONFIGURATION_FILE} and start Slurm"
    return None


def _configuration_of_others() -> bytes | None:
    """Return the configuration of Slurm on this machine; None if there is none.

    That of a session of tests which was killed would stay otherwise, and each start of Snakemake
    would wait ten seconds for its controller.
    """
    found = CONFIGURATION_FILE.read_bytes() if CONFIGURATION_FILE.exists() else None
    return None if found and b"ClusterName=memtrain_tests" in found else found


def program(name: str) -> str | None:
    """Return the path of a program, also in the folders of daemons; None if it is missing."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Slurm:
    """Starts munge, the controller and the nodes, and stops them by their process ids.

    Args:
        folder: folder for configuration, state, spool and logs.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen] = {}
        self._before: bytes | None = None

    def __enter__(self) -> "Slurm":
        self._before = _configuration_of_others()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self.is_up():
            subprocess.run(["scancel", "--user=root", "--signal=KILL"], capture_output=True)
            subprocess.run(["scancel", "--user=root"], capture_output=True)
        for name in reversed(list(self._daemons)):
            self.stop(name)
        if self._before is None:
            CONFIGURATION_FILE.unlink(missing_ok=True)
        else:
            CONFIGURATION_FILE.write_bytes(self._before)

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        self._launch(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Kill the daemon of a node and all processes below it, as a power cut would."""
        daemon = self._daemons.pop(name)
        processes = [daemon.pid, *_descendants(self._step_daemons(name))]
        for process in processes:
            _kill(process, signal.SIGKILL)
        daemon.wait()

    def stop(self, name: str) -> None:
        """Stop a daemon by its name."""
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def is_up(self) -> bool:
        """Return whether the controller answers."""
        answer = subprocess.run(["scontrol", "ping"], capture_output=True, text=True)
        return "is UP" in answer.stdout

    def run(self, *command: str) -> str:
        """Run a command of Slurm, and return what it prints."""
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def jobs(self, comment: str, *states: str) -> list[dict[str, str]]:
        """Return the properties of jobs as Slurm shows them, oldest job first.

        Args:
            comment: comment of the jobs, which the plugin makes from rule and wildcards.
            states: states that the jobs may have; none for jobs in any state.
        """
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%A %k").splitlines()
        ids = [line.split()[0] for line in lines if line.split()[1:] == [comment]]
        shown = [self.run("scontrol", "show", "job", job).split() for job in sorted(ids, key=int)]
        jobs = [dict(pair.partition("=")[::2] for pair in pairs) for pairs in shown]
        return [job for job in jobs if not states or job["JobState"] in states]

    def _start(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        controller, *nodes = _free_ports(len(NODES))
        CONFIGURATION_FILE.parent.mkdir(exist_ok=True)
        CONFIGURATION_FILE.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                controller=controller,
                nodes=f"{nodes[0]}-{nodes[-1]}",
                cpus=CPUS,
                memory_mb=MEMORY_MB,
            )
        )
        self._start_munge()
        self._launch("slurmctld", "slurmctld", "-D", "-c")
        self._wait_until(self.is_up)
        for node in NODES:
            self.start_node(node)
        self._wait_until(self.has_all_nodes)

    def has_all_nodes(self) -> bool:
        """Return whether all nodes take jobs."""
        states = set(self.run("sinfo", "--noheader", "--Node", "--format=%t").split())
        return states <= {"idle", "mix", "alloc"}

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        own = {name: f"--{name}={self.folder}/munge.{name[:-5]}" for name in _MUNGE_FILES}
        self._launch(
            "munged",
            "munged",
            "--foreground",
            "--force",
            f"--socket={self.folder}/munge.socket",
            f"--key-file={key}",
            *own.values(),
        )
        self._wait_until((self.folder / "munge.socket").exists)

    def _launch(self, name: str, command: str, *arguments: str) -> None:
        # In a session of its own, so that Ctrl-C on the tests does not reach the daemon.
        with open(self.folder / f"{name}.out", "ab") as output:
            self._daemons[name] = subprocess.Popen(
                [program(command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until(self, condition, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                texts = [(self.folder / f"{name}.out").read_text() for name in self._daemons]
                raise AssertionError("Slurm did not start:\n" + "\n".join(texts))
            time.sleep(0.1)

    def _step_daemons(self, node: str) -> list[int]:
        """Return the slurmstepd processes of a node, which only their open files tell apart."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_step = (entry / "comm").read_text().strip() == "slurmstepd"
                files = [os.readlink(link) for link in (entry / "fd").iterdir()] if is_step else []
            except OSError:
                continue
            if any(f"{self.folder}/spool-{node}" in file for file in files):
                found.append(int(entry.name))
        return found


_MUNGE_FILES = ("pid-file", "log-file", "seed-file")


def _free_ports(nodes: int) -> list[int]:
    """Return a free port for the controller, and consecutive free ports for the nodes."""
    while True:
        with contextlib.ExitStack() as held:
            ports = [_hold(held, 0), _hold(held, 0)]
            try:
                ports += [_hold(held, ports[1] + number) for number in range(1, nodes)]
            except (OSError, OverflowError):
                continue
            return ports


def _hold(held: contextlib.ExitStack, port: int) -> int:
    one = held.enter_context(socket.socket())
    one.bind(("127.0.0.1", port))
    return one.getsockname()[1]


def _descendants(processes: list[int]) -> list[int]:
    """Return processes with all processes that they have started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found = []
    while processes:
        found += processes
        processes = [child for process in processes for child in children.get(process, ())]
    return found


def _kill(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
