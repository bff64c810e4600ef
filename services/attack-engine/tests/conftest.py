"""A small real bundle and real servers of it, each in its own process."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import timm
from scipy.stats import binom

from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle

_ARGS = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "global_pool": "avg",
    "fc_norm": False,
    "dynamic_img_size": True,
    "num_classes": 0,
}


def make_bundle(folder: Path) -> Path:
    """An untrained ViT of two blocks that takes images of any size."""
    architectures.register()
    model = timm.create_model("vit_tiny_patch16_224", **_ARGS)
    half = (0.5, 0.5, 0.5)
    save_bundle(model, folder, BundleCard("untrained", ("embedding", "feature_map"), 32, half, half), _ARGS)
    return folder


@dataclass
class Served:
    """An encoder server that runs as `latentprint serve` in a process of its own."""

    bundle: Path
    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    metrics: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}/{self.bundle.name}"

    def start(self) -> "Served":
        port_file = self.folder / f"port-{time.monotonic_ns()}"
        out = self.folder / "server.log"
        command = ["serve", str(self.bundle), "--port", str(self.port), "--port-file", str(port_file)]
        command += ["--metrics-port", "0", "--threads", "1", "--settle-seconds", "0", *self.options]
        code = "from latentprint.core.cli import main; main()"
        with out.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *command],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        deadline = time.monotonic() + 120
        while not (port_file.exists() and "metrics on" in out.read_text()):
            assert self.process.poll() is None, out.read_text()
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.05)
        self.port = int(port_file.read_text())
        self.metrics = int(out.read_text().split("metrics on http://127.0.0.1:")[1].split("/")[0])
        return self

    def images(self, kind: str) -> int:
        """The Prometheus counter of "answered" or "replayed" images, over all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as page:
            lines = page.read().decode().splitlines()
        return int(
            sum(float(line.split()[-1]) for line in lines if line.startswith(f"latentprint_{kind}_images_total"))
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def other_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights under the same name."""
    return make_bundle(tmp_path_factory.mktemp("others") / tiny_bundle.name)


@contextmanager
def servers(root: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers of a bundle, with files below `root`; kills those that are still there at the end."""
    started: list[Served] = []

    def start(bundle: Path, *options: str) -> Served:
        folder = root / f"server-{len(started)}"
        folder.mkdir()
        started.append(Served(bundle, folder, options))
        return started[-1].start()

    yield start
    for server in started:
        if server.process is not None and server.process.poll() is None:
            server.kill()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    with servers(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    with servers(tmp_path_factory.mktemp("servers")) as start:
        yield start


@pytest.fixture(scope="session")
def served(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not count what it answered."""
    with servers(tmp_path_factory.mktemp("served")) as start:
        yield start(tiny_bundle)


@pytest.fixture(scope="session")
def assert_chance() -> Callable[[Sequence[Estimate], int], None]:
    """Checks the AUCs of one of `attacks` over seeds of a null control.

    As many 95 % intervals hold 0.5 as in 95 % of families of so many attacks, whichever processor rounds them, and
    their mean lies within four standard errors of 0.5, so that no small bias hides in wide intervals.
    """

    def check(estimates: Sequence[Estimate], attacks: int) -> None:
        values = np.array([estimate.value for estimate in estimates])
        held = sum(estimate.interval.contains(0.5) for estimate in estimates)
        assert held >= binom.ppf(0.05 / attacks, len(values), 0.95), values.round(2).tolist()
        assert abs(values.mean() - 0.5) < 4.0 * values.std(ddof=1) / len(values) ** 0.5, values.round(2).tolist()

    return check
