"""Encoder servers as processes of their own: the engine meets a victim only over the wire."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path

from latentprint.attack_engine.asking.endpoint_spec import EndpointSpec
from latentprint.attack_engine.scheduling.workers import HERE
from latentprint.core.cli import COMMANDS
from latentprint.core.errors import EndpointError
from latentprint.core.telemetry import logs

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
    """Serve `victims` (see `starting_server`) until the block ends.

    Yields:
        the endpoints' addresses, grpc://127.0.0.1:PORT/NAME, in order, once all are ready.

    Raises:
        EndpointError: a server did not come up; its last words are in the message.
    """
    with starting_server(victims, threads=threads, options=options) as server:
        server.wait()
        yield server.urls


@contextlib.contextmanager
def starting_server(
    victims: Mapping[str, str], *, threads: int = 1, options: Sequence[str] = (), host: str = HERE
) -> Iterator["ServerProcess"]:
    """Serve `victims` from one process, each on a free port of its own; it ends with the block.

    Args:
        victims: model name to a bundle's folder; the first may be timm:NAME.
        threads: of torch.
        options: further ones of `latentprint serve`.
        host: the address to bind; at one that other machines reach, it answers nobody without a key drawn for it.

    Yields:
        the process, which has just been started.
    """
    with tempfile.TemporaryDirectory(prefix="latentprint-serve-") as folder:
        (name, source), *further = victims.items()
        port_file, log = Path(folder) / "ports", Path(folder) / "log"
        also = [f"--also={other}={bundle}" for other, bundle in further]
        command = [_executable(), "serve", source, "--name", name, *also, "--port", "0", "--port-file", str(port_file)]
        # Nobody but this run asks, and it knows when it ends; where it is killed, its end of the pipe closes.
        command += ["--settle-seconds", "0", "--until-stdin-closes"]
        key_file = None if host == HERE else Path(folder) / "key"
        if key_file is not None:
            key_file.touch(mode=0o600)
            key_file.write_text(secrets.token_urlsafe(32), encoding="ascii")
            command += ["--host", host, "--api-key-file", str(key_file)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--threads", str(threads), *options],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": str(threads), logs.VARIABLE: logs.PLAIN},
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + _START_SECONDS
            yield ServerProcess(tuple(victims), process, port_file, log, deadline, host, key_file)
        finally:
            _stop(process)


@dataclass(frozen=True)
class ServerProcess:
    """A process that serves models by `names`, and its file of ports, written once it is ready."""

    names: tuple[str, ...]
    process: subprocess.Popen[bytes]
    port_file: Path
    log: Path
    deadline: float
    host: str
    key_file: Path | None

    def wait(self) -> None:
        """Wait until it answers. Raises as `is_ready` does."""
        while not self.is_ready():
            time.sleep(_POLL_SECONDS)

    def is_ready(self) -> bool:
        """Whether it answers. Raises `EndpointError` where it ended, or has taken too long."""
        if self.port_file.exists():
            return True
        served_models = " and ".join(self.names)
        if self.process.poll() is not None:
            words = self.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            code = self.process.returncode
            said = next((line for line in reversed(words) if line.startswith("error:")), words[-1])
            raise EndpointError(f"The server of {served_models} ended with code {code}, saying: {said}")
        if time.monotonic() > self.deadline:
            raise EndpointError(f"The server of {served_models} was not ready within {_START_SECONDS:.0f} s.")
        return False

    @cached_property
    def urls(self) -> list[str]:
        """The models' addresses, in order, once it is ready."""
        ports = self.port_file.read_text(encoding="utf-8").split()
        host = f"[{self.host}]" if ":" in self.host else self.host
        return [f"grpc://{host}:{port}/{name}" for port, name in zip(ports, self.names, strict=True)]

    @property
    def endpoints(self) -> list[EndpointSpec]:
        """The models, as they are reached, in order, once it is ready."""
        key = None if self.key_file is None else str(self.key_file)
        return [EndpointSpec(url, api_key_file=key) for url in self.urls]


def _executable() -> str:
    beside = Path(sys.executable).with_name("latentprint")
    found = str(beside) if beside.exists() else shutil.which("latentprint")
    if found is None:
        raise EndpointError("The latentprint command is not installed beside this Python: install latentprint-core.")
    return found


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server gently, then firmly: an interrupted run must leave no process behind."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
