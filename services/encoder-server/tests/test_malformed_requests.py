"""Ten thousand malformed requests: every answer in our words, other callers undisturbed, log and memory bounded."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from latentprint.core.oip import METHODS, from_response, to_request
from latentprint.encoder_server.refusals import MESSAGE_LENGTH

LATENTPRINT = Path(sys.executable).with_name("latentprint")
CALLERS = Path(__file__).with_name("strangers")
CALLS, AT_ONCE, SECONDS = 10_000, 8, 240
MESSAGE_BYTES, REPLAY_BYTES = 4 * 2**20, 16 * 2**20
LOG_BYTES = 4096
GROWTH_BYTES = 192 * 2**20  # kept answers, what waits, the working memory of a forward; 77 MB were measured
CLEAN = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
}


class Served:
    """A server process, its port and its log."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        port_file, self._log = folder / "port", folder / "log"
        limits = {"--max-message-bytes": MESSAGE_BYTES, "--replay-bytes": REPLAY_BYTES, "--threads": 1}
        options = [str(part) for pair in limits.items() for part in pair]
        command = [LATENTPRINT, "serve", bundle, "--port", "0", "--port-file", port_file, *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not port_file.exists() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert port_file.exists(), self.log()
        self.port = int(port_file.read_text())

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def resident(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


@pytest.fixture
def served(bundle, tmp_path) -> Iterator[Served]:
    server = Served(bundle, tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


class Witness(threading.Thread):
    """A well-behaved caller on a channel of its own, again and again: its answers, and the seconds each took."""

    def __init__(self, port: int, call) -> None:
        super().__init__()
        self._port, self._call, self._over = port, call, threading.Event()
        self.answers: list[object] = []
        self.seconds: list[float] = []
        self.failure: grpc.RpcError | None = None

    def run(self) -> None:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{self._port}", options=[("grpc.enable_retries", 0)]) as channel:
                while not self._over.wait(0.02):
                    started = time.monotonic()
                    self.answers.append(self._call(channel))
                    self.seconds.append(time.monotonic() - started)
        except grpc.RpcError as error:
            self.failure = error

    def finish(self) -> None:
        self._over.set()
        self.join()

    def check(self) -> None:
        assert self.failure is None
        assert len(self.seconds) > 50


@contextmanager
def witnesses(port: int, images: np.ndarray) -> Iterator[tuple[Witness, Witness]]:
    request = to_request("victim", {"images": images}, ["embedding"])
    control = Witness(port, lambda channel: embedding(channel, request))
    health = Witness(port, check)
    control.start()
    health.start()
    try:
        yield control, health
    finally:
        control.finish()
        health.finish()
    control.check()
    health.check()


def embedding(channel, request) -> np.ndarray:
    return from_response(METHODS["ModelInfer"].call(channel)(request, timeout=20))["embedding"]


def check(channel) -> int:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20).status


def flooded(port: int) -> dict:
    options = {"--port": port, "--model": "victim", "--max-message-bytes": MESSAGE_BYTES, "--calls": CALLS}
    arguments = [str(part) for pair in {**options, "--callers": AT_ONCE, "--seed": 0}.items() for part in pair]
    callers = subprocess.run(
        [sys.executable, str(CALLERS), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert callers.returncode == 0, callers.stderr[-2000:]
    return json.loads(callers.stdout)


def settled(served: Served, bound: int) -> int:
    """Resident bytes, as soon as they are below `bound` or after the time in which free memory is handed back."""
    deadline = time.monotonic() + 15
    while (resident := served.resident()) > bound and time.monotonic() < deadline:
        time.sleep(0.5)
    return resident


def percentiles(seconds: list[float]) -> str:
    middle, late = np.quantile(seconds, [0.5, 0.99]) * 1000
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms of {len(seconds)}"


@pytest.mark.slow
def test_ten_thousand_malformed_requests_disturb_nobody(served, images, request):
    with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        expected = embedding(channel, to_request("victim", {"images": images(4)}, ["embedding"]))
    before = served.resident()
    with witnesses(served.port, images(4)) as (control, health):
        flood = flooded(served.port)
    assert sum(sum(codes.values()) for codes in flood["statuses"].values()) == CALLS
    for code, sentence, _ in flood["sentences"]:
        assert code in CLEAN, (code, sentence)
        assert sentence.isprintable()
        assert len(sentence) <= MESSAGE_LENGTH
        assert not any(word in sentence for word in ("Traceback", "Exception", "Error", "Unexpected", "<class"))
    for answer in control.answers:
        np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert set(health.answers) == {health_pb2.HealthCheckResponse.SERVING}
    assert np.quantile(control.seconds, 0.99) < 5
    assert np.quantile(health.seconds, 0.99) < 1
    assert "Traceback" not in served.log()
    assert len(served.log()) < LOG_BYTES
    resident = settled(served, before + GROWTH_BYTES)
    assert resident < before + GROWTH_BYTES
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0
    request.node.user_properties += [
        ("seconds", flood["seconds"]),
        ("control", percentiles(control.seconds)),
        ("health", percentiles(health.seconds)),
        ("resident_mb", f"{before / 1e6:.0f} -> {resident / 1e6:.0f}"),
    ]


def test_every_kind_is_drawn_alike_from_a_seed():
    code = """
import sys; sys.path.insert(0, sys.argv[1])
import hashlib
import numpy as np
from calls import CALLS
from messages import MESSAGES, Target
target, state = Target("victim", 4096), hashlib.sha256()
for name, kind in {**MESSAGES, **CALLS}.items():
    drawn = [repr(kind(target, np.random.default_rng([0, n]))) for n in range(20)]
    assert len(set(drawn)) > 1, name
    state.update("".join(drawn).encode(errors="surrogatepass"))
print(state.hexdigest())
"""
    run = [
        subprocess.run([sys.executable, "-c", code, str(CALLERS)], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert run[0] == run[1]
