"""A search in an experiment: from its file to the report, and again."""

import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from rich.console import Console

from latentprint.attack_engine.asking.signal_store import SignalStore
from latentprint.attack_engine.models.candidate_job import CandidateJob
from latentprint.attack_engine.models.job import ModelStore
from latentprint.attack_engine.runs.experiment import run_experiment
from latentprint.attack_engine.runs.experiment_file import load_experiment
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.plan import plan_victims
from latentprint.attack_engine.scheduling.scheduler import make
from latentprint.attack_engine.scheduling.task import MAKING
from latentprint.core.bundles import read_card
from latentprint.core.errors import DataError
from latentprint.core.split_files import read_split
from latentprint.core.splits import KNOWN

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
MASKED = {"crop_scale_from": 0.2, "embed_dim": 64, "depth": 1, "heads": 2}
EXPERIMENT = {
    "name": "searched",
    "datasets": {"d": {"name": "composites", "options": {"count": 120}}},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 60}},
    "victims": [{"name": "mae", "recipe": "mae", "split": "s", "epochs": 2, "options": MASKED}],
    "attacks": [{"name": "partcrop", "inference": "logistic", "options": {"crops": 4}}],
    "searches": [{"victim": "mae", "attack": "partcrop", "coarse": [0.3, 0.4], "step": 0.06, "utility_loss": 1.0}],
}


def run(folder: Path) -> tuple[Path, str]:
    path = folder / "searched.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    said = StringIO()
    report = run_experiment(load_experiment(path), path, folder / "runs", Console(file=said, width=200))
    return report, said.getvalue()


def made(folder: Path) -> dict[str, int]:
    store = folder / "runs" / "store"
    return {str(p.relative_to(store)): p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()}


def test_a_search_tries_audits_and_records_its_candidates_and_makes_nothing_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report, said = run(tmp_path)
    assert capfd.readouterr().out == f"{report}\n"  # its path is the only output
    findings = json.loads(report.with_name("findings.json").read_text())
    rows = list(csv.DictReader(report.with_name("searches.csv").open()))
    assert [(float(row["lower"]), row["stage"]) for row in rows] == [(0.3, "1"), (0.4, "1"), (0.36, "2")]
    (chosen,) = (row for row in rows if row["chosen"] == "True")
    assert float(chosen["cross_validated_auc"]) == min(float(row["cross_validated_auc"]) for row in rows)
    assert f"{chosen['lower']} is chosen" in said

    audited = {audit["victim"]["name"]: audit for audit in findings["audits"]}
    assert set(audited) == {"mae", "mae-scsr-0.3", "mae-scsr-0.4", f"mae-scsr-{chosen['lower']}"}
    training = audited[f"mae-scsr-{chosen['lower']}"]["victim"]["training"]
    assert training["defences"] == [{"name": "scsr", "options": {"lower": float(chosen["lower"])}}]
    assert training["probe_accuracy"] == float(chosen["probe_accuracy"])
    summary = findings["configuration"]["search_results"]["mae under partcrop"]
    assert summary["chosen"] == float(chosen["lower"])
    assert summary["lower 0.36"]["auc"] == float(rows[2]["cross_validated_auc"])
    assert f"mae-scsr-{chosen['lower']}" in report.read_text()

    check_the_store(tmp_path / "runs", {row["lower"] for row in rows})
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow' / 'mlflow.db'}")
    logged = client.search_runs([client.get_experiment_by_name("searched").experiment_id])
    assert {one.info.status for one in logged} == {"FINISHED"}
    assert sum(one.data.tags["latentprint.kind"] == "victim" for one in logged) == 4
    (parent,) = (one for one in logged if one.data.tags["latentprint.kind"] == "experiment")
    assert [item.path for item in client.list_artifacts(parent.info.run_id, "searches")] == ["searches/searches.csv"]

    before = made(tmp_path)
    again = json.loads(run(tmp_path)[0].with_name("findings.json").read_text())
    assert made(tmp_path) == before
    assert len(client.search_runs([client.get_experiment_by_name("searched").experiment_id])) == len(logged)
    assert again["audits"] == findings["audits"]
    assert again["configuration"] == findings["configuration"]


def check_the_store(runs: Path, bounds: set[str]) -> None:
    """All bounds have their bundles, and every search asked for the known samples alone."""
    cards = [read_card(path.parent) for path in (runs / "store" / "victims").glob("*/latentprint.json")]
    trained = [card.training["defences"] for card in cards if card.recipe == "mae"]
    assert {str(one["options"]["lower"]) for defences in trained for one in defences} == bounds
    assert len(trained) == len(bounds) + 1
    split = read_split(next((runs / "store" / "splits").iterdir()))
    known = set(split.ids(role=KNOWN).tolist())
    assert 0 < len(known) < len(split.sample_id)
    stores = {path.parent for path in (runs / "store" / "signals").glob("*/search/**/shard-*.parquet")}
    assert len(stores) == len(bounds)
    for store in stores:
        assert SignalStore(store).sample_ids() == known
    assert not np.intersect1d(sorted(known), split.ids(role="evaluation")).size


def test_a_candidates_error_arrives_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "searched.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    experiment, layout = load_experiment(path), Layout(tmp_path / "runs", "searched")
    (victim,) = plan_victims(experiment, layout)
    damaged = replace(victim.training, store=ModelStore(tmp_path / "damaged"))
    damaged.folder.mkdir(parents=True)
    (damaged.folder / "latentprint.json").write_text("{}")
    attack = experiment.attack(experiment.attacks[0])
    candidate = CandidateJob(0.3, damaged, attack, 0, layout.signals(damaged.key))
    with pytest.raises(DataError, match="damaged"):
        make([candidate], {MAKING: 1}, Console(quiet=True))
    assert not candidate.finished
