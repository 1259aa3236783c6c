"""A Slurm of one machine, from the daemons that the distribution's packages install."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from toys.core import ROOT
from toys.units import until

DAEMONS = ("munged", "slurmctld", "slurmd")
CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=5
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(folder: Path) -> None:
    """munge for signatures, the controller and the daemon of the one node. They run in the background."""
    munge = folder / "munge"
    for each in (munge, folder / "state", folder / "spool"):
        each.mkdir()
    munge.chmod(0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    files = [f"--{what}-file={munge / what}" for what in ("key", "pid", "log", "seed")]
    host, cores = socket.gethostname().split(".")[0], os.cpu_count()
    text = CONF.format(host=host, user=getpass.getuser(), folder=folder, ports=free_ports(2), cores=cores)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    subprocess.run(["munged", *files, f"--socket={munge / 'socket'}", "--force"], check=True)
    subprocess.run(["slurmctld", "-c"], check=True)
    subprocess.run(["slurmd"], check=True)
    until(lambda: "idle" in subprocess.run(["sinfo"], capture_output=True, text=True, check=False).stdout)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands of Slurm work within."""
    missing = [name for name in DAEMONS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no Slurm on this machine ({', '.join(missing)}): apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        try:
            start(folder)
            yield
        finally:
            for pid in (folder / "slurmd.pid", folder / "slurmctld.pid", folder / "munge" / "pid"):
                with suppress(OSError, ValueError):
                    os.kill(int(pid.read_text()), signal.SIGTERM)
