"""Encoder servers as processes of their own: the engine meets a victim only over the wire."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from latentprint.core.cli import COMMANDS
from latentprint.core.errors import EndpointError

_START_SECONDS = 180.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


def require_server() -> None:
    """Raise `EndpointError` where no installed package serves, before anything is trained to be served."""
    if not entry_points(group=COMMANDS, name="serve"):
        raise EndpointError(
            "latentprint run serves the victims that it trains, and the server is not installed: "
            "install latentprint-encoder-server."
        )


@contextlib.contextmanager
def served(victims: Mapping[str, str], *, threads: int = 1, options: Sequence[str] = ()) -> Iterator[list[str]]:
    """Serve each of `victims` (model name to a bundle's folder or timm:NAME) from a process of its own, on a free port.

    Yields:
        the endpoints' addresses, grpc://127.0.0.1:PORT/NAME, in order, once all are ready.

    Raises:
        EndpointError: a server did not come up; its last words are in the message.
    """
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(_server(source, threads, [*options, "--name", name]))
            for name, source in victims.items()
        ]
        yield [f"grpc://127.0.0.1:{server.wait()}/{name}" for name, server in zip(victims, servers, strict=True)]


@dataclass(frozen=True)
class _Server:
    victim: str
    process: subprocess.Popen[bytes]
    port_file: Path
    log: Path

    def wait(self) -> int:
        """The port, once the server is ready."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.port_file.exists():
                return int(self.port_file.read_text().strip())
            if self.process.poll() is not None:
                words = self.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
                code = self.process.returncode
                raise EndpointError(f"The server of {self.victim} ended with code {code}, saying: {words[-1]}")
            time.sleep(_POLL_SECONDS)
        raise EndpointError(f"The server of {self.victim} was not ready within {_START_SECONDS:.0f} s.")


@contextlib.contextmanager
def _server(victim: str, threads: int, options: Sequence[str]) -> Iterator[_Server]:
    with tempfile.TemporaryDirectory(prefix="latentprint-serve-") as folder:
        port_file, log = Path(folder) / "port", Path(folder) / "log"
        command = [_executable(), "serve", victim, "--port", "0", "--port-file", str(port_file)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--threads", str(threads), *options],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                start_new_session=True,
            )
        try:
            yield _Server(victim, process, port_file, log)
        finally:
            _stop(process)


def _executable() -> str:
    beside = Path(sys.executable).with_name("latentprint")
    found = str(beside) if beside.exists() else shutil.which("latentprint")
    if found is None:
        raise EndpointError("The latentprint command is not installed beside this Python: install latentprint-core.")
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server gently, then firmly: an interrupted run must leave no process behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
