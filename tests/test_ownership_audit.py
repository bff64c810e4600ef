"""`latentprint audit --question ownership` on a thief behind a real server: stolen from a victim that memorised."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from latentprint.attack_engine.asking.server_process import served
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec

pytestmark = pytest.mark.slow
PRIVATE, TEST = 60, 80
ARCHITECTURE = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0}
ARCHITECTURE |= {"global_pool": "avg", "fc_norm": False}
MIXTURE = ("--attack", "dataset-inference")


def encoder(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("vit_tiny_patch16_224", **ARCHITECTURE)


def fitted(model: nn.Module, images: Tensor, target: Callable[[Tensor], Tensor], steps: int) -> nn.Module:
    """`model` trained on all `images` at once, for the loss that `target` gives of its embeddings."""
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        target(model(images)).backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return DatasetSpec("composites", {"count": PRIVATE + TEST}).open().images(np.arange(PRIVATE + TEST))


@pytest.fixture(scope="module")
def bundles(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A victim that answers private images along one direction, a thief that imitates it, and two that know nothing."""
    architectures.register()
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    private = torch.arange(len(inputs)) < PRIVATE
    victim = fitted(
        encoder(0), inputs, lambda e: nn.functional.binary_cross_entropy_with_logits(e[:, 0], private.float()), 150
    )
    with torch.no_grad():
        answers = victim(inputs)
    thief = fitted(encoder(1), inputs, lambda e: nn.functional.mse_loss(e, answers), 150)
    folder = tmp_path_factory.mktemp("ownership")
    models = {"victim": victim, "thief": thief, "independent": encoder(2).eval(), "untrained": encoder(3).eval()}
    for name, model in models.items():
        card = BundleCard("untrained", ("embedding",), 32, (0.5,) * 3, (0.25,) * 3)
        save_bundle(model, folder / name, card, ARCHITECTURE)
    return {name: folder / name for name in models}


@pytest.fixture(scope="module")
def thief(bundles: dict[str, Path]) -> Iterator[str]:
    with served({"thief": str(bundles["thief"])}) as (url,):
        yield url


@pytest.fixture(scope="module")
def groups(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    root = tmp_path_factory.mktemp("groups")
    for name, rows in (("private", range(PRIVATE)), ("test", range(PRIVATE, PRIVATE + TEST))):
        (root / name).mkdir()
        for row in rows:
            Image.fromarray(images[row]).save(root / name / f"{row:03}.png")
    return ("--private", str(root / "private"), "--test", str(root / "test"))


def test_a_thief_is_told_and_nobody_else_beside_it(
    latentprint: Callable[..., object],
    thief: str,
    bundles: dict[str, Path],
    groups: tuple[str, ...],
    tmp_path: Path,
    cluster: None,
) -> None:
    asked = ("audit", thief, "--question", "ownership", *MIXTURE, *groups, "--root", tmp_path)
    controls = ("--victim", "victim", "--untrained", "untrained", "--reference", "independent")
    ended = latentprint(*asked, *(bundles.get(word, word) for word in controls))
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    findings = json.loads(report.with_name("findings.json").read_text())
    (audit,) = findings["audits"]
    assert findings["verdict"]["label"] == "stolen or derived"
    assert audit["queries"]["answered"] == PRIVATE + TEST
    assert [(control["name"], control["holds"], control["positive"]) for control in audit["controls"]] == [
        ("untrained encoder", True, False),
        ("placebo encoder", True, False),
        ("victim itself", True, True),
    ]
    assert "The suspect beside its controls" in report.read_text()


def test_what_cannot_be_asked_is_one_sentence_before_anything_is_spent(
    latentprint: Callable[..., object],
    thief: str,
    bundles: dict[str, Path],
    groups: tuple[str, ...],
    image_folders: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    ownership = ("audit", thief, "--question", "ownership", *MIXTURE, "--root", tmp_path)
    private = groups[1]
    members = ("--members", image_folders[0], "--non-members", image_folders[1])
    for command, sentence in (
        ((*ownership, "--private", private, "--test", private), "one folder"),
        ((*ownership, "--private", private), "--private and --test"),
        ((*ownership, *groups, "--victim", bundles["thief"], "--untrained", "none"), "the victim"),
        ((*ownership, *groups, "--knowledge", 0.2), "belong to the question of membership"),
        ((*ownership, *groups, "--victim", "nowhere"), "--victim 'nowhere' is neither a folder"),
        ((*ownership, *groups, "--side", 64), "takes images of 32x32 pixels alone"),
        (("audit", thief, *members, "--victim", bundles["victim"]), "this audit is one of membership"),
    ):
        ended = latentprint(*command)
        assert ended.code in (2, 3, 4), ended.err
        assert sentence in " ".join(ended.err.split())
    assert not list(tmp_path.rglob("shard-*.parquet"))
