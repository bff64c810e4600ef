"""From start to SIGTERM: say where the server is, wait, drain."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from latentprint.core.telemetry.logs import log_console
from latentprint.core.telemetry.otlp import exported, is_asked_for
from latentprint.core.text import say
from latentprint.encoder_server.server import Server, address
from latentprint.encoder_server.settings import Settings
from latentprint.encoder_server.victims import Victim

_SWITCH_SECONDS = 0.0005
_SERVICE = "latentprint-encoder-server"


async def serve_until_told(victims: Sequence[Victim], settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain; a second signal stops at once.

    Each victim has a server and a port of its own: the first what `settings` says, any other a free one. The first
    one's metrics are sent over OTLP where the environment asks for that.

    Raises:
        UsageError: a port that cannot be used, at the start or later.
    """
    # The device's thread asks for the interpreter's lock between any two operators; Python's default makes it wait
    # 5 ms each time for an event loop that is never idle.
    sys.setswitchinterval(_SWITCH_SECONDS)
    if settings.listening.port_file is not None:
        settings.listening.port_file.unlink(missing_ok=True)  # an earlier server's
    others = replace(settings, listening=replace(settings.listening, port=0, metrics_port=None, health_port=None))
    servers = [Server(victim, others if place else settings) for place, victim in enumerate(victims)]
    signals = _signals()
    if settings.listening.until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    for server in servers:
        await server.start()
    with exported(servers[0].metrics.registry, _SERVICE, log_console()) if is_asked_for() else nullcontext():
        _announce(servers, settings)
        await _serve(servers, signals)


async def _serve(servers: Sequence[Server], signals: "asyncio.Queue[int]") -> None:
    told = asyncio.create_task(signals.get())
    ended, _ = await asyncio.wait(
        (told, *(server.listening for server in servers)), return_when=asyncio.FIRST_COMPLETED
    )
    if not told.done():
        told.cancel()
        for listening in ended:
            await listening  # raises: only `stop` ends it otherwise
    await _drain(servers, asyncio.create_task(signals.get()))


def _signals() -> "asyncio.Queue[int]":
    received: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received.put_nowait, number)
    return received


def _stop_with_stdin() -> None:
    """Stop as on SIGTERM once nobody can write to standard input any more: whoever started this server is gone."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _announce(servers: Sequence[Server], settings: Settings) -> None:
    listening = settings.listening
    if listening.port_file is not None:
        _write(listening.port_file, "".join(f"{server.port}\n" for server in servers))
    console = log_console(stderr=False)
    scheme = "grpc" if listening.tls_cert is None else "grpcs"
    for server in servers:
        say(console, f"serving {server.victim.name} on {scheme}://{address(listening.host, server.port)}")
        if server.metrics_port is not None:
            say(console, f"metrics on http://{address(listening.host, server.metrics_port)}/metrics")
    sys.stdout.flush()


def _write(path: Path, text: str) -> None:
    """Write at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


async def _drain(servers: Sequence[Server], again: "asyncio.Task[int]") -> None:
    draining = asyncio.gather(*(server.drain() for server in servers))
    await asyncio.wait((draining, again), return_when=asyncio.FIRST_COMPLETED)
    if draining.done():
        again.cancel()
        await draining
        return
    draining.cancel()
    await asyncio.gather(*(server.stop(0) for server in servers))
