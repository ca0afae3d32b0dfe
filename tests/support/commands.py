"""Commands in processes of their own that do not import everything again.

One process imports the package and the libraries beneath it, and forks itself for each command: a
process with its own arguments, environment, folder, output and end, as a command started from a
shell has, without the six seconds of processor time that importing torch, transformers and adapters
takes.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = ("torch", "transformers", "adapters", "datasets", "faiss", "pandas", "adaptrans_cli.main")


class CommandServer:
    """Starts the process that forks, and asks it for commands one at a time."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        code = f"from support.commands import serve; serve({theirs.fileno()})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path},
        )
        theirs.close()
        atexit.register(self.close)

    def run(self, arguments: list[str], environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
        """Exit code, output and messages of `adaptrans` with these arguments."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            request = json.dumps([list(arguments), environment, str(folder)]).encode()
            socket.send_fds(self.socket, [len(request).to_bytes(4, "big")], [out.fileno(), error.fileno()])
            self.socket.sendall(request)
            answer = self.socket.recv(4)
            assert answer, f"the process that forks has ended with {self.process.wait()}"
            texts = []
            for file in (out, error):
                file.seek(0)
                texts.append(file.read().decode())
        return int.from_bytes(answer, "big", signed=True), texts[0], texts[1]

    def close(self) -> None:
        """End the process that forks."""
        self.socket.close()
        self.process.wait()


@functools.cache
def server() -> CommandServer:
    """The one of this process of tests."""
    return CommandServer()


def _import_all() -> None:
    for name in MODULES:
        importlib.import_module(name)
    import adaptrans

    for module in pkgutil.walk_packages(adaptrans.__path__, "adaptrans."):
        importlib.import_module(module.name)
    import adapters.models.xlm_roberta  # noqa: F401 - libraries import these when a model is first asked for
    from transformers.models.xlm_roberta import modeling_xlm_roberta  # noqa: F401


def serve(descriptor: int) -> None:
    """Fork once for each request, until the other side is gone."""
    connection = socket.socket(fileno=descriptor)
    _import_all()
    gc.freeze()
    while True:
        size, files, _, _ = socket.recv_fds(connection, 4, 2)
        if not size:
            os._exit(0)
        request = b""
        while len(request) < int.from_bytes(size, "big"):
            request += connection.recv(65536)
        child = os.fork()
        if child == 0:
            break
        for file in files:
            os.close(file)
        _, status = os.waitpid(child, 0)
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    connection.close()
    arguments, environment, folder = json.loads(request)
    for file, standard in zip(files, (1, 2), strict=True):
        os.dup2(file, standard)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["adaptrans", *arguments]
    from adaptrans_cli.main import start

    start()
