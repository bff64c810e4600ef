"""`latentprint steal` against a served victim: by every loss, within the budget, resumed, and its bundle served."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.server_process import served
from latentprint.attack_engine.models.stealing import Stealing
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.runs import stealing
from latentprint.attack_engine.runs.controls import untrained_control
from latentprint.attack_engine.runs.stealing import Theft, run_theft
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.scheduling.workers import ThisProcess
from latentprint.core.bundles import BundleCard, open_bundle, read_card, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import Interrupted

pytestmark = pytest.mark.slow
QUERIES, HELD_OUT, WIDTH = 40, 20, 128
STUDENT = ("--architecture-option", "width=4", "--architecture-option", "blocks=[1, 1, 1]", "--epochs", 2)
Latentprint = Callable[..., object]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for all tests, so that the victim is asked once."""
    return tmp_path_factory.mktemp("thefts")


def command(endpoint: str, out: Path, root: Path, *further: object) -> tuple[object, ...]:
    images = ("--data", "composites", "--data-option", "count=90")
    sizes = ("--queries", QUERIES, "--held-out", HELD_OUT, "--budget", QUERIES + HELD_OUT)
    return "steal", endpoint, "--out", out, *images, *sizes, *STUDENT, "--root", root, *further


@pytest.fixture(scope="module")
def thefts(run_here: Callable[..., None], endpoint: str, root: Path) -> dict[str, Path]:
    """A bundle by each loss: the first by the command, the others in this process, from the answers that it got."""
    first, *others = STEALING_LOSSES.names()
    found = {loss: root / "bundles" / loss for loss in (first, *others)}
    run_here(*command(endpoint, found[first], root, "--loss", first))
    images = DatasetSpec("composites", {"count": 90})
    narrow = Stealing("mse", QUERIES, HELD_OUT, architecture_options={"width": 4, "blocks": [1, 1, 1]}, epochs=2)
    asking = AskingOptions(budget=QUERIES + HELD_OUT)
    for loss in others:
        options = replace(narrow, loss=loss)
        theft = Theft(EndpointSpec(endpoint), images, np.arange(90), found[loss], options, asking=asking)
        run_theft(theft, root, Console(quiet=True), workers=ThisProcess())
    return found


def test_every_loss_gives_a_bundle_from_the_same_few_answers(thefts: dict[str, Path]) -> None:
    cards = {loss: read_card(bundle) for loss, bundle in thefts.items()}
    assert len({card.weights_digest for card in cards.values()}) == len(cards)
    for loss, card in cards.items():
        assert (card.recipe, card.outputs, card.image_size) == ("stolen", ("embedding",), 32)
        assert card.options["loss"] == loss
        assert card.training["queries"] == QUERIES
        assert len(card.training["losses"]) == 2
        found = card.training["fidelity"]
        assert found["images"] == HELD_OUT
        for score in ("cosine", "l2", "mutual_information"):
            assert found[score]["interval"]["low"] <= found[score]["value"] <= found[score]["interval"]["high"]


def test_a_stolen_bundle_is_served_with_the_victims_width_and_obfuscated_as_is_its_twin(
    thefts: dict[str, Path],
) -> None:
    images = DatasetSpec("composites", {"count": 4}).open().images(np.arange(4))
    options = ("--obfuscate", "padding=3", "--obfuscate", "permutation")
    with served({"thief": str(thefts["mse"])}, options=options) as (url,), EndpointSpec(url).open() as endpoint:
        assert dict(endpoint.card.outputs) == {"embedding": (WIDTH + 3,)}
        found = endpoint.query(images, ["embedding"])["embedding"]
        twin = untrained_control("auto", endpoint.card, side=32)
    own = open_bundle(thefts["mse"])[0].answer(images, ["embedding"])["embedding"]
    np.testing.assert_allclose(np.sort(np.pad(own, ((0, 0), (0, 3)))), np.sort(found), atol=1e-4)
    assert twin is not None
    assert {"--obfuscate=padding=3", "--obfuscate=permutation"} <= set(twin.options)


def test_more_queries_than_the_budget_are_refused_before_any_is_asked(
    latentprint: Latentprint, thefts: dict[str, Path], endpoint: str, root: Path, tmp_path: Path
) -> None:
    refused = latentprint(*command(endpoint, tmp_path / "thief", root, "--queries", QUERIES + 1))
    assert refused.code == 5, refused.err
    assert not (tmp_path / "thief").exists()


def test_an_interrupted_theft_goes_on_and_asks_nothing_twice(
    latentprint: Latentprint,
    cluster: None,
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = command(endpoint, tmp_path / "thief", tmp_path / "runs")

    def stopped(*_: object) -> None:
        raise Interrupted("Stopped.")

    with monkeypatch.context() as patched:
        patched.setattr(stealing, "make", stopped)
        assert latentprint(*asked).code == 130
    done = latentprint(*asked)  # the budget covers every image once
    assert done.code == 0, done.err
    assert "Fidelity on 20 images" in done.err
    before = (tmp_path / "thief" / "model.safetensors").stat().st_mtime_ns
    again = latentprint(*asked)
    assert (again.code, again.out) == (0, done.out)
    assert (tmp_path / "thief" / "model.safetensors").stat().st_mtime_ns == before


def test_bad_input_is_refused_before_anything_is_asked(
    latentprint: Latentprint, endpoint: str, image_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    def refused(words: str, *further: object, code: int = 2, out: str = "thief") -> None:
        asked = command(endpoint, tmp_path / out, tmp_path / "runs", *further)
        found = latentprint(*asked)
        assert found.code == code, found.err
        assert words in " ".join(found.err.split())

    refused("There are 90 images, and 100 queries with 20 held-out images", "--queries", 100, "--budget", 500)
    refused("one of --images, --split and --data", "--images", image_folders[0])
    refused("Unknown architecture", "--architecture", "resnet18_cifra")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    refused("choose another folder with --out", out="taken")
    flat = ("steal", endpoint, "--out", tmp_path / "thief", "--images", image_folders[0], "--root", tmp_path / "runs")
    found = latentprint(*flat, "--loss", "supcon", "--queries", 20, "--held-out", 0)
    assert found.code == 2
    assert "reads each image's class" in found.err
    assert not list((tmp_path / "runs").rglob("shard-*"))


def test_a_victim_that_does_not_fit_is_refused_before_anything_is_asked(
    latentprint: Latentprint, bundle: Path, tmp_path: Path
) -> None:
    maps = BundleCard("untrained", ("feature_map",), 32, (0.5,) * 3, (0.5,) * 3)
    model = timm.create_model("resnet18_cifar_narrow", width=2)
    save_bundle(model, tmp_path / "maps", maps, {"width": 2, "num_classes": 0})
    blank = tmp_path / "blank"
    blank.mkdir()
    Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(blank / "only.png")

    def refused(words: str, code: int, victim: str, side: int) -> None:
        asked = ("steal", victim, "--out", tmp_path / "thief", "--images", blank, "--side", side)
        found = latentprint(*asked, "--queries", 20, "--held-out", 0, "--root", tmp_path / "runs")
        assert found.code == code, found.err
        assert words in " ".join(found.err.split())

    with served({"small": str(bundle)}, options=["--max-side", "32"]) as (small,):
        refused("takes images with sides of 1 to 32 pixels, not 64x64", 4, small, 64)
        refused("There is 1 image, and 20 queries", 2, small, 32)
    refused("has no output named 'embedding'", 2, f"local:{tmp_path / 'maps'}", 32)
    assert not list((tmp_path / "runs").rglob("shard-*"))
