"""What tests across services share: the command line in this process, and a victim behind a real server."""

import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import yaml
from PIL import Image

from latentprint.attack_engine.asking.server_process import served
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.cli import main
from latentprint.core.datasets import DatasetSpec


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("0.0.0.0", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """Ports that nobody listens on, below those that the system gives to connections: these are taken at any moment."""
    drawn = iter(random.SystemRandom().sample(range(20000, 32000), 1000))
    return lambda count: [next(port for port in drawn if _is_free(port)) for _ in range(count)]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def latentprint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["latentprint", *map(str, arguments)])
        capfd.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return Outcome(int(str(code or 0)), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def run_here(cluster: None) -> Callable[..., None]:
    """Run the command line in this process, on the Ray that is there; it must end well."""

    def run(*arguments: object) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["latentprint", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert not ended.value.code

    return run


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained narrow ResNet."""
    architectures.register()
    folder = tmp_path_factory.mktemp("bundles") / "victim"
    card = BundleCard("untrained", ("embedding", "feature_map"), 32, (0.5,) * 3, (0.25,) * 3)
    model_args = {"num_classes": 0}
    save_bundle(timm.create_model("resnet18_cifar_narrow", **model_args), folder, card, model_args)
    return folder


@pytest.fixture(scope="session")
def endpoint(bundle: Path) -> Iterator[str]:
    """The bundle behind a server of its own."""
    with served({"victim": str(bundle)}) as (url,):
        yield url


@pytest.fixture(scope="session")
def image_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of generated images drawn alike: members and non-members."""
    root = tmp_path_factory.mktemp("images")
    images = DatasetSpec("composites", {"count": 90}).open().images(np.arange(90))
    folders = root / "members", root / "others"
    for folder, rows in zip(folders, (range(40), range(40, 90)), strict=True):
        folder.mkdir()
        for row in rows:
            Image.fromarray(images[row]).save(folder / f"{row:03}.png")
    return folders


@pytest.fixture(scope="session")
def manifests() -> Mapping[str, list[dict[str, Any]]]:
    """The Kubernetes objects of every overlay and its jobs, as kustomize makes them, by the overlay's name."""
    beside = Path(sys.executable).with_name("kubectl")
    kubectl = str(beside) if beside.exists() else shutil.which("kubectl")
    if kubectl is None:
        pytest.fail("The manifests are put together by kubectl, which is not here: make setup installs it into .venv.")
    overlays = sorted((Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "overlays").iterdir())
    rendered = {}
    for overlay in overlays:
        rendered[overlay.name] = []
        for part in (overlay, *sorted(path for path in overlay.iterdir() if path.is_dir())):
            if "kind: Component\n" in (part / "kustomization.yaml").read_text():
                continue
            made = subprocess.run([kubectl, "kustomize", part], capture_output=True, text=True, timeout=60)
            assert made.returncode == 0, made.stderr
            rendered[overlay.name] += yaml.load_all(made.stdout, yaml.CSafeLoader)
    return rendered
