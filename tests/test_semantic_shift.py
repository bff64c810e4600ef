"""Members and non-members that show different things, and an encoder trained on neither: nothing leaks.

Members carry a weave, non-members its negative. Pixel statistics and an untrained encoder see no difference; what was
trained to tell the two does. Only another such encoder, the placebo, can tell that from membership.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.samples import Images

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
SIDE = 32
TRAINED_ON, EPOCHS, BATCH = 400, 6, 16
SHOWN = 80
MEAN, STD = (0.5,) * 3, (0.25,) * 3
ARCHITECTURE = "resnet18_cifar_narrow"
# As many raised threads as sunken ones: neither brightness nor its skew tells a weave from its negative.
WEAVE = np.array([[1, 1, -1, 1], [-1, 1, -1, -1], [1, -1, -1, 1], [1, -1, 1, -1]])
DEPTH, NOISE = 16, 12


def picture(rng: np.random.Generator, negative: bool) -> Images:
    """A noisy weave, or its negative, over a ground that changes smoothly, uint8 [SIDE, SIDE, 3]."""
    across = np.linspace(-1, 1, SIDE)[:, None] * rng.uniform(-30, 30, 3)
    down = np.linspace(-1, 1, SIDE)[:, None] * rng.uniform(-30, 30, 3)
    ground = rng.uniform(70, 186, 3) + down[:, None] + across[None]
    x, y = rng.integers(0, len(WEAVE), 2)
    weave = np.tile(WEAVE, (SIDE // 4 + 1, SIDE // 4 + 1))[x : x + SIDE, y : y + SIDE, None]
    threads = DEPTH * (-weave if negative else weave)
    return np.clip(ground + threads + rng.normal(0, NOISE, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def tensor(images: Images) -> torch.Tensor:
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - MEAN[0]) / STD[0]


def trained(folder: Path, seed: int) -> Path:
    """The bundle of an encoder that was taught to tell a weave from its negative, on pictures of its own."""
    architectures.register()
    rng = np.random.default_rng(seed)
    images = tensor(np.stack([picture(rng, negative=bool(index % 2)) for index in range(2 * TRAINED_ON)]))
    labels = torch.arange(2 * TRAINED_ON) % 2
    torch.manual_seed(seed)
    model = timm.create_model(ARCHITECTURE, num_classes=2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    model.reset_classifier(0)
    card = BundleCard("weaves", ("embedding",), SIDE, MEAN, STD)
    save_bundle(model, folder, card, {"num_classes": 0})
    return folder


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return trained(root / "audited", 1), trained(root / "placebo", 2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Weaves as members and their negatives as non-members, of which no encoder saw any."""
    rng, root = np.random.default_rng(3), tmp_path_factory.mktemp("weaves")
    for name in ("weaves", "negatives"):
        (root / name).mkdir()
        for index in range(SHOWN):
            Image.fromarray(picture(rng, negative=name == "negatives")).save(root / name / f"{index:03}.png")
    return root / "weaves", root / "negatives"


def audit(
    latentprint: Callable[..., Any], encoder: Path, folders: tuple[Path, Path], root: Path, *options: object
) -> Any:
    named = (
        "--members",
        folders[0],
        "--non-members",
        folders[1],
        "--attack",
        "supervisedmi",
        "--inference",
        "logistic",
    )
    ended = latentprint("audit", f"local:{encoder}", *named, "--workers", 1, "--root", root, *options)
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    return json.loads(report.with_name("findings.json").read_text()), ended.err


def test_what_a_trained_encoder_sees_is_claimed_with_a_condition_and_refuted_by_a_placebo(
    latentprint: Callable[..., Any], encoders: tuple[Path, Path], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    found, said = audit(latentprint, encoders[0], folders, tmp_path)
    (alone,) = found["audits"]
    assert alone["result"]["evaluation"]["auc"]["value"] > 0.8
    assert all(control["holds"] for control in alone["controls"])
    assert not alone["result"]["validity"]["blind"]["above_chance"]
    assert found["verdict"]["label"] == "leak found, if drawn alike"
    assert "if members and non-members were drawn alike" in found["verdict"]["sentence"]
    assert said.index("--reference") < said.index("Plan for")  # said before anything is asked

    found, _ = audit(latentprint, encoders[0], folders, tmp_path, "--reference", f"local:{encoders[1]}")
    assert found["verdict"]["label"] == "not valid"
    assert "placebo encoder" in found["verdict"]["sentence"]
    controls = {control["name"]: control["holds"] for control in found["audits"][0]["controls"]}
    assert controls == {"untrained encoder": True, "placebo encoder": False, "exchanged non-members": True}
