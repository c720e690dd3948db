"""A real Slurm cluster of several nodes on this machine, for tests: private, gone when the tests are.

Every node is a slurmd with its own port; where the machine allows it also with its own host name, /etc/hosts and
processes, so that killing a node kills what runs on it, and two nodes give out the same process numbers. No daemon
outlives the tests, even if they are killed. Needs root, without systemd or cgroups, and Debian's packages slurm-wlm
and munge.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "slurm-wlm munge"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv", "unshare")
PATIENCE = 60.0
"""Seconds after which a daemon that does not answer is taken for broken."""
FINISHED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"}
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_NAMESPACES = ("unshare", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# The first process of a node takes in its orphans, which slurmd would not.
_BOOT = 'hostname "$1" && mount --bind "$2" /etc/hosts && { slurmd -D -N "$1" & wait; }'
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a job that is requeued waits; by default 120 s
AuthInfo=socket={directory}/munge.socket,cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# the cores and memory below count, not those of this machine
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=10
InactiveLimit=0
MinJobAge=3600
TCPTimeout=2
MessageTimeout=10
CompleteWait=0
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MailProg=/bin/true
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} Boards=1 SocketsPerBoard=1 "
    "CoresPerSocket={cores} ThreadsPerCore=1 RealMemory=65536 State=UNKNOWN\n"
)
_PARTITIONS = """\
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP OverSubscribe=NO GraceTime=30
PartitionName=urgent Nodes=ALL MaxTime=INFINITE DefaultTime=10 State=UP OverSubscribe=NO PriorityTier=2
"""
"""Jobs of `urgent` preempt those of `test`, which are requeued."""


@dataclass(frozen=True)
class Task:
    """A job, or one task of an array."""

    number: str
    """In its array; empty for a job that is none. Tasks that wait together have a range, such as 1-3."""
    state: str
    exit_code: str
    """Code:signal."""
    restarts: int
    node: str

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, one way or another."""
        return self.state in FINISHED


def why_not() -> str | None:
    """Why there can be no cluster on this machine; None if there can."""
    if os.geteuid() != 0:
        return "a private Slurm cluster needs root"
    missing = [program for program in PROGRAMS if shutil.which(program, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install -y --no-install-recommends {PACKAGES}"
    return None


class SlurmCluster:
    """Use it as a context. Commands of Slurm need `environment`."""

    def __init__(self, nodes: int = 2, cores: int = 4, isolated: bool = True) -> None:
        """Nodes that are not `isolated`, as on a machine that does not allow it, are processes like any others."""
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self._cores = cores
        self.isolated = isolated and subprocess.run([*_NAMESPACES, "true"], capture_output=True).returncode == 0
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._exit = ExitStack()

    def __enter__(self) -> SlurmCluster:
        with ExitStack() as exit_stack:
            # Not pytest's directories: munged wants one that everybody may enter, and the name of a socket is short.
            self.directory = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
            self.directory.chmod(0o755)
            exit_stack.callback(self._stop)
            self._start()
            self._exit = exit_stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def environment(self) -> dict[str, str]:
        """That of the tests, without the variables of a job they may themselves run in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "PATH": _PATH, "SLURM_CONF": str(self.directory / "slurm.conf")}

    def command(self, *words: str) -> str:
        """Output of a Slurm command that must succeed."""
        ended = subprocess.run(words, capture_output=True, text=True, env=self.environment, timeout=PATIENCE)
        assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"
        return ended.stdout.strip()

    def sbatch(self, words: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> str:
        """Submit from a directory; the number of the job."""
        ended = subprocess.run(
            ["sbatch", "--parsable", *words],
            capture_output=True,
            text=True,
            cwd=directory,
            env={**self.environment, **(environment or {})},
            timeout=PATIENCE,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip().partition(";")[0]

    def tasks(self, job: str) -> list[Task]:
        """The tasks of a job."""
        found = []
        for line in self.command("scontrol", "-o", "show", "job", job).splitlines():
            # a value may hold spaces: Command=/a b/c.sh
            values = dict(re.findall(r"(\w+)=(.*?)(?=\s+[\w/:]+=|\s*$)", line))
            found.append(
                Task(
                    values.get("ArrayTaskId", ""),
                    values["JobState"],
                    values["ExitCode"],
                    int(values["Restarts"]),
                    values.get("BatchHost", ""),
                )
            )
        return sorted(found, key=lambda task: task.number)

    def finish(self, job: str, seconds: float = 300.0) -> list[Task]:
        """Wait until every task of a job has ended."""
        wait_for(lambda: all(task.is_over for task in self.tasks(job)), f"the end of job {job}", seconds)
        return self.tasks(job)

    def clear(self) -> None:
        """Cancel all jobs, and wait until they are gone."""
        subprocess.run(["scancel", "--user=root"], env=self.environment, timeout=PATIENCE, capture_output=True)
        wait_for(lambda: not self.command("squeue", "-h"), "the end of all jobs", PATIENCE)

    def crash(self, node: str) -> None:
        """Power loss: the node and all that runs on it are gone at once, which Slurm notices after some time."""
        assert self.isolated, "this machine keeps the processes of a node together with others"
        self._kill(node)

    def boot(self, node: str) -> None:
        """Start a node."""
        if self.isolated:
            hosts = self.directory / "hosts"
            self._daemon(node, *_NAMESPACES, "bash", "-c", _BOOT, "boot", node, str(hosts))
        else:
            self._daemon(node, "slurmd", "-D", "-N", node)

    def set_down(self, node: str) -> None:
        """A node that Slurm knows to be broken: it ends what runs there."""
        self.command("scontrol", "update", f"nodename={node}", "state=down", "reason=broken")

    def resume(self, node: str) -> None:
        """The node may be used again. It may have come back by itself, which scontrol calls an error."""
        words = ["scontrol", "update", f"nodename={node}", "state=resume"]
        subprocess.run(words, env=self.environment, timeout=PATIENCE, capture_output=True)

    def restart_controller(self) -> None:
        """Stop and start slurmctld, as an administrator does; jobs go on meanwhile. Killed, it would come back with the
        state of some seconds before, in which a job that has just begun is still waiting."""
        controller = self._daemons.pop("slurmctld")
        controller.terminate()
        controller.wait(PATIENCE)
        self._daemon("slurmctld", "slurmctld", "-D")
        wait_for(self._answers, "slurmctld", PATIENCE, self._logs)

    def _answers(self) -> bool:
        return subprocess.run(["scontrol", "ping"], capture_output=True, env=self.environment).returncode == 0

    def _start(self) -> None:
        (self.directory / "state").mkdir()
        key = self.directory / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        hosts = Path("/etc/hosts").read_text().rstrip("\n")
        (self.directory / "hosts").write_text(f"{hosts}\n127.0.0.1 {socket.gethostname()} {' '.join(self.nodes)}\n")
        (self.directory / "cgroup.conf").write_text("CgroupAutomount=no\n")
        (self.directory / "slurm.conf").write_text(self._configuration())
        self._daemon(
            "munged",
            "munged",
            "--foreground",
            *(f"--{what}-file={self.directory}/munge.{what}" for what in ("key", "pid", "seed")),
            f"--socket={self.directory}/munge.socket",
        )
        wait_for((self.directory / "munge.socket").exists, "munged", PATIENCE, self._logs)
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in self.nodes:
            self.boot(node)
        wait_for(self._all_idle, "the nodes of the cluster", PATIENCE, self._logs)

    def _configuration(self) -> str:
        controller, *ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname()
        return "".join(
            [
                _CONFIGURATION.format(host=host, port=controller, directory=self.directory),
                *(
                    _NODE.format(name=name, host=name if self.isolated else host, port=port, cores=self._cores)
                    for name, port in zip(self.nodes, ports, strict=True)
                ),
                _PARTITIONS,
            ]
        )

    def _all_idle(self) -> bool:
        ended = subprocess.run(
            ["sinfo", "-h", "-N", "-p", "test", "-o", "%T"],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=PATIENCE,
        )
        return ended.stdout.split() == ["idle"] * len(self.nodes)

    def _daemon(self, name: str, *words: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *words],
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _stop(self) -> None:
        if not self.isolated and "slurmctld" in self._daemons:
            self.clear()  # jobs outlive their slurmd
        for name in reversed(list(self._daemons)):
            self._kill(name)

    def _kill(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def _logs(self) -> str:
        return "\n".join(
            f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in self.directory.glob("*.log")
        )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at now."""
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(condition: Callable[[], bool], what: str, seconds: float, logs: Callable[[], str] = str) -> None:
    """Look every tenth of a second; an AssertionError with the logs when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}\n{logs()}"
        time.sleep(0.1)
