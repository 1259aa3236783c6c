"""A Python that starts at once: a process that has imported what takes seconds forks for each command.

What a command does, prints and returns is as in a process of its own. Signals and Python's own variables, such as
PYTHONIOENCODING, do not reach it: tests of kills, of Ctrl-C and of what is imported start `sys.executable`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
IMPORTED = ("torch._dynamo", "torch.utils.tensorboard", "lhotse", "accelerate", "scipy.stats", "matplotlib.figure")
OURS = ("audiossl.cli.main", "audiossl.experiments.run")
CLIENT = """\
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({path!r})
    asked = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(int(server.recv(64) or 1))
"""


@functools.cache
def python() -> str:
    """What to start in place of `sys.executable`, with a script, `-m module` or `-c program`."""
    if sys.platform != "linux":
        return sys.executable
    folder = Path(tempfile.mkdtemp())  # pytest's own are too long for the address of a socket
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(folder)]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline(), "the Python that forks did not start"
    (folder / "client.py").write_text(CLIENT.format(path=str(folder / "socket")))
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {folder / "client.py"} "$@"\n')
    script.chmod(0o755)
    _SERVERS.append(server)
    return str(script)


_SERVERS: list[
    subprocess.Popen[bytes]
] = []  # each ends when its input is closed, at the latest by the end of this process


def serve(folder: Path) -> socket.socket:
    """A connection, in a process of its own for each. The first one ends here, with its input."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(folder / "socket"))
    listener.listen()
    print("listening", flush=True)
    for name in (*IMPORTED, *OURS):
        importlib.import_module(name)
    gc.freeze()  # else each command copies the memory that its collector goes over
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return connection
        connection.close()
    shutil.rmtree(folder)
    sys.exit()


def attend(connection: socket.socket) -> None:
    """Run what is asked for in one more process, and tell its exit code."""
    message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    job = os.fork()
    if job:
        for descriptor in descriptors:
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
        connection.send(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    connection.close()
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, place)
        os.close(descriptor)
    code = 0
    try:
        become(*json.loads(message))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    end(code)


def end(code: int) -> None:
    """As an interpreter ends, but for the tearing down of what the first process has imported, which takes a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Do what a new interpreter does with these arguments."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = ""  # of this file until here
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    kind, *rest = arguments
    if kind == "-m":
        sys.argv, sys.path[0] = rest, folder
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv, sys.path[0] = arguments, str(Path(kind).resolve().parent)
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    attend(serve(Path(sys.argv[1])))
