"""An experiment on victims that are derived from another: a thief, whose answers are obfuscated, and a linear probe."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from latentprint.core.bundles import CARD, BundleCard, read_card

pytestmark = pytest.mark.slow
QUERIES, HELD_OUT, WIDTH, PADDING = 40, 20, 32, 3
STUDENT = {"epochs": 2, "architecture_options": {"width": 4, "blocks": [1, 1, 1]}}
EXPERIMENT = {
    "name": "derived",
    "datasets": {"d": {"name": "composites", "options": {"count": 420, "side": 16}}},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 60, "distillation": QUERIES + HELD_OUT}},
    "victims": [
        {"name": "probe", "of": "mae", "probe": {}},
        {
            "name": "thief",
            "of": "mae",
            "owned_by": "mae",
            "steal": {"loss": "mse", "queries": QUERIES, "held_out": HELD_OUT, **STUDENT},
            "obfuscate": ["permutation", f"padding={PADDING}"],
        },
        {
            "name": "mae",
            "recipe": "mae",
            "split": "s",
            "epochs": 2,
            "options": {"embed_dim": WIDTH, "depth": 1, "heads": 2},
        },
    ],
    "placebo": "none",
    "attacks": ["dataset-inference", "mba-m-entropy"],
}


def made(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*.safetensors")}


@pytest.fixture(scope="module")
def ran(run_here: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("derived")
    path = folder / "derived.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    run_here("run", path, "--root", folder)
    before = made(folder)
    run_here("run", path, "--root", folder)
    assert made(folder) == before  # nothing is made again
    return folder, json.loads((folder / "derived" / "findings.json").read_text())


def card(root: Path, shelf: str) -> BundleCard:
    """Of the one on a shelf that is no untrained twin."""
    folders = [path.parent for path in (root / "store" / shelf).glob(f"*/{CARD}")]
    (found,) = [one for one in map(read_card, folders) if one.recipe != "untrained"]
    return found


def test_derived_victims_meet_every_attack_whose_outputs_they_offer(ran: tuple[Path, dict]) -> None:
    audits = {(one["victim"]["name"], one["attack"]["name"]): one for one in ran[1]["audits"]}
    assert set(audits) == {(name, "dataset-inference") for name in ("probe", "thief", "mae")} | {
        ("probe", "mba-m-entropy")
    }
    asked = audits["thief", "dataset-inference"]
    assert asked["victim"]["card"]["outputs"]["embedding"] == [WIDTH + PADDING]
    assert asked["victim"]["card"]["properties"]["obfuscation"] == f"permutation,padding={PADDING}"
    controls = [control["name"] for control in asked["controls"]]
    assert controls == ["untrained encoder", "victim itself"]


def test_a_thief_learns_from_its_victim_within_its_budget_and_leaves_nothing_beside_its_bundle(
    ran: tuple[Path, dict],
) -> None:
    training = card(ran[0], "stolen").training
    assert training["victim"]["weights_digest"] == card(ran[0], "victims").weights_digest
    assert (training["queries"], training["fidelity"]["images"]) == (QUERIES, HELD_OUT)
    assert not list((ran[0] / "store" / "stolen").glob("*.work"))


def test_a_probe_of_few_members_leaks_its_posteriors_and_its_untrained_twin_does_not(ran: tuple[Path, dict]) -> None:
    (audit,) = [one for one in ran[1]["audits"] if one["attack"]["name"] == "mba-m-entropy"]
    assert audit["result"]["evaluation"]["auc"]["interval"]["low"] > 0.5
    assert {control["name"]: control["holds"] for control in audit["controls"]}["untrained encoder"]


def test_every_derived_model_is_logged_with_what_it_was_measured_by(ran: tuple[Path, dict]) -> None:
    client = MlflowClient(f"sqlite:///{ran[0] / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("derived").experiment_id])
    found = {run.info.run_name: run.data for run in runs}
    assert {"mae", "thief", "probe"} <= set(found)
    assert {"loss", "cosine", "mutual_information"} <= set(found["thief"].metrics)
    assert "test_accuracy" in found["probe"].metrics
