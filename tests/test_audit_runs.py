"""A live audit's runs in a real MLflow store: one for each audit whose report differs, none twice."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
from mlflow import MlflowClient
from mlflow.entities import Run

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.sweeps import SweepChoice
from latentprint.attack_engine.runs.audit_request import LiveAudit, audit_key
from latentprint.attack_engine.runs.controls import control_identity, named_control
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.live import audited_endpoint
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import draw_split

PLACEBO_AUC = "null_auc_placebo_encoder"


def runs(root: Path, kind: str) -> list[Run]:
    """The runs of `kind` that the store below `root` holds, oldest first."""
    client = MlflowClient(f"sqlite:///{root / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("audit")
    found = client.search_runs([experiment.experiment_id], f"tags.`latentprint.kind` = '{kind}'")
    return sorted(found, key=lambda run: run.info.start_time)


def write_encoder(folder: Path) -> None:
    """A bundle of fresh weights, another at every call."""
    architectures.register()
    card = BundleCard("untrained", ("embedding", "feature_map"), 32, (0.5,) * 3, (0.25,) * 3)
    save_bundle(timm.create_model("resnet18_cifar_narrow", num_classes=0), folder, card, {"num_classes": 0})


@pytest.mark.slow
def test_every_audit_whose_report_differs_has_a_run_of_its_own_and_none_is_logged_twice(
    latentprint: Callable[..., object], endpoint: str, image_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    members, others = image_folders
    folders = ("--members", members, "--non-members", others)
    root, encoder = tmp_path / "runs", tmp_path / "encoder"
    write_encoder(encoder)

    def audit(*options: object) -> None:
        ended = latentprint("audit", endpoint, *folders, "--attack", "supervisedmi", "--root", root, *options)
        assert ended.code == 0, ended.err

    options = ("--untrained", "none", "--reference", encoder)
    audit(*options)
    audit(*options)
    assert (len(runs(root, "experiment")), len(runs(root, "audit"))) == (1, 1)
    audit("--untrained", "none")
    assert (len(runs(root, "experiment")), len(runs(root, "audit"))) == (2, 2)

    write_encoder(encoder)  # in the same folder: what the control shows is another encoder's
    audit(*options)
    compared = [run for run in runs(root, "audit") if PLACEBO_AUC in run.data.metrics]
    assert (len(runs(root, "experiment")), len(compared)) == (3, 2)
    assert len({run.data.metrics[PLACEBO_AUC] for run in compared}) == 2


def test_whatever_the_scores_depend_on_is_in_the_key(tmp_path: Path) -> None:
    split = draw_split(DatasetSpec("digits").open(), members=40, non_members=40, seed=0, known_fraction=0.5)
    plain = EndpointSpec("grpc://127.0.0.1:1")
    attacks = (AttackChoice("supervisedmi").build(0),)
    base = LiveAudit("audit", plain, attacks, DatasetSpec("digits"), split, "none", 0, AskingOptions(1))
    card = EndpointCard(plain.url, "victim", {})
    other = EndpointSpec(plain.url, output_names={"embedding": "pooled"})
    changed = [
        replace(base, untrained="auto"),
        replace(base, reference="timm:resnet18"),
        replace(base, seed=1),
        replace(base, split=split.stated("time")),
        replace(base, endpoint=other),
        replace(base, sweeps=SweepChoice((0.3,))),
        replace(base, attacks=(AttackChoice("supervisedmi", inference="logistic").build(0),)),
        replace(base, attacks=(*attacks, AttackChoice("encodermi").build(0))),
    ]

    def key(audit: LiveAudit, of: EndpointCard = card, beside: tuple[str, str] = ("", ""), root: str = "runs") -> str:
        return audit_key(audit, audited_endpoint(audit, of, Layout(tmp_path / root, "audit"), beside))

    keys = [key(one) for one in (base, *changed)]
    keys += [
        key(base, root="later"),
        key(base, beside=("another", "")),
        key(base, replace(card, weights_digest="1" * 64)),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key(replace(base))


def test_a_control_is_known_by_its_weights_and_not_by_its_folder(tmp_path: Path) -> None:
    victim = EndpointSpec("grpc://127.0.0.1:1")
    write_encoder(tmp_path / "one")
    control = named_control(str(tmp_path / "one"), "--reference", weights="hub")
    first = control_identity(control, victim)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert control_identity(named_control(f"local:{tmp_path / 'two'}", "--reference", weights="hub"), victim) == first
    write_encoder(tmp_path / "one")
    assert control_identity(control, victim) != first
    assert control_identity(None, victim) == ""
