"""An experiment from its file to its report, in this process, by a command, and here after its command was killed."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from latentprint.core.bundles import read_card

pytestmark = pytest.mark.slow
SMALL_VIT = {"embed_dim": 64, "depth": 2, "heads": 2}
NARROW = {"architecture_options": {"width": 8}}
MAE = {"recipe": "mae", "split": "s", "epochs": 3, "options": SMALL_VIT}
BOTH = ["partcrop", "encodermi"]
EXPERIMENT = {
    "name": "trial",
    "datasets": {"d": {"name": "composites", "options": {"count": 200}}},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 80}},
    "victims": [
        {**MAE, "name": "mae", "attacks": BOTH},
        {"name": "supervised", "recipe": "supervised", "split": "s", "epochs": 2, "options": NARROW, "attacks": BOTH},
        {**MAE, "name": "copy", "owned_by": "mae", "attacks": ["view-relations"]},
    ],
    "attacks": [
        {"name": "partcrop", "options": {"crops": 8}},
        {"name": "encodermi", "inference": "logistic"},
        "view-relations",
    ],
}
CONTROLS = ["untrained encoder", "placebo encoder", "exchanged non-members"]
Run = Callable[..., None]
COMMAND = Path(sys.executable).with_name("latentprint")


def written_file(folder: Path) -> Path:
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    return path


def start(folder: Path, **told: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "run", written_file(folder), "--root", folder / "runs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | told,
    )


def metrics(process: subprocess.Popen[str]) -> dict[str, float]:
    """What a run that was started with a metrics port, and has said so in its first line, tells; values by series."""
    said = json.loads(process.stderr.readline())["message"]
    with urllib.request.urlopen(said.removeprefix("metrics on "), timeout=60) as page:
        lines = page.read().decode().splitlines()
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def finish(folder: Path) -> dict:
    process = start(folder, LATENTPRINT_LOG="json")
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, err
    assert all(json.loads(line)["level"] in ("info", "warning") for line in err.splitlines())
    report = Path(out.strip().splitlines()[-1])
    return json.loads(report.with_name("findings.json").read_text())


def finish_here(run_here: Run, folder: Path) -> dict:
    run_here("run", written_file(folder), "--root", folder / "runs")
    return json.loads((folder / "runs" / "trial" / "findings.json").read_text())


def made(folder: Path) -> dict[str, int]:
    store = folder / "runs" / "store"
    return {
        str(p.relative_to(store)): p.stat().st_mtime_ns
        for p in store.rglob("*")
        if p.suffix in (".parquet", ".safetensors")
    }


@pytest.fixture(scope="module")
def undisturbed(run_here: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, finish_here(run_here, folder)


def test_every_victim_meets_every_attack_that_it_names_with_all_its_controls(undisturbed: tuple[Path, dict]) -> None:
    folder, findings = undisturbed
    cells = [(audit["victim"]["name"], audit["attack"]["name"]) for audit in findings["audits"]]
    assert cells == [*((v, a) for v in ("mae", "supervised") for a in BOTH), ("copy", "view-relations")]
    for audit in findings["audits"][:4]:
        controls = audit["controls"]
        assert [control["name"] for control in controls] == CONTROLS
        assert all(control["effect"]["interval"]["level"] == pytest.approx(1 - 0.025 / 15) for control in controls)
        differences = {difference["control"] for difference in audit["result"]["validity"]["differences"]}
        assert differences == {"untrained encoder", "placebo encoder", "blind baseline"}
        assert audit["result"]["validity"]["absent"] == []
        assert audit["result"]["validity"]["split_by"] == "coin"
        queries = audit["queries"]
        assert queries["sent"] == queries["answered"] == 120 * (9 if audit["attack"]["name"] == "partcrop" else 10)
        assert audit["victim"]["url"].startswith("grpc://127.0.0.1:")
    page = (folder / "runs" / "trial" / "report.html").read_text()
    assert "Part response" in page
    assert "<script src" not in page


def test_a_copy_of_a_victim_is_asked_about_ownership_beside_the_victim_itself(undisturbed: tuple[Path, dict]) -> None:
    findings = undisturbed[1]
    mae, copy = findings["audits"][0], findings["audits"][4]
    assert copy["question"] == "ownership"
    assert copy["victim"]["card"]["weights_digest"] == mae["victim"]["card"]["weights_digest"]
    assert [control["name"] for control in copy["controls"]] == [*CONTROLS[:2], "victim itself"]
    assert copy["controls"][2]["effect"]["estimate"] == copy["effect"]["estimate"]
    assert copy["result"]["known_private"] == 20


def test_everything_is_in_mlflow(undisturbed: tuple[Path, dict]) -> None:
    client = MlflowClient(f"sqlite:///{undisturbed[0] / 'runs' / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    kinds = sorted(run.data.tags["latentprint.kind"] for run in runs)
    assert kinds == ["audit"] * 5 + ["experiment"] + ["placebo"] * 2 + ["victim"] * 2
    parent = next(run for run in runs if run.data.tags["latentprint.kind"] == "experiment")
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} >= {"report", "findings", "experiment"}
    assert "latentprint.version.torch" in parent.data.tags
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run is parent or run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["mlflow.source.name"] == parent.data.tags["mlflow.source.name"] != ""
        assert run.data.tags["mlflow.note.content"]
        assert parent.info.start_time <= run.info.start_time < run.info.end_time <= parent.info.end_time
    victim = next(run for run in runs if run.info.run_name == "mae")
    assert [point.step for point in client.get_metric_history(victim.info.run_id, "loss")] == [1, 2, 3]
    assert victim.data.params["recipe"] == "mae"
    assert {item.dataset.name for item in victim.inputs.dataset_inputs} == {"composites", "split"}
    assert "system/cpu_utilization_percentage" in victim.data.metrics


def test_every_victim_is_a_registered_model_and_nothing_else_is(undisturbed: tuple[Path, dict]) -> None:
    client = MlflowClient(f"sqlite:///{undisturbed[0] / 'runs' / 'mlflow' / 'mlflow.db'}")
    names = [model.name for model in client.search_registered_models()]
    models = {name: client.search_model_versions(f"name = '{name}'") for name in names}
    assert set(models) == {"trial-mae", "trial-supervised"}  # the copy of a victim is that victim
    for (version,) in models.values():
        card = read_card(Path(version.source.removeprefix("file://")))
        assert version.tags["weights_digest"] == card.weights_digest
        assert version.tags["split_digest"] == card.split_digest
        assert version.tags["epsilon"] == "inf"


def test_a_second_run_as_a_command_makes_nothing_again_and_says_the_same(undisturbed: tuple[Path, dict]) -> None:
    folder, findings = undisturbed
    before = made(folder)
    client = MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("trial").experiment_id
    runs = len(client.search_runs([experiment]))
    again = finish(folder)
    assert made(folder) == before
    assert len(client.search_runs([experiment])) == runs
    assert again["audits"] == findings["audits"]
    assert again["verdict"] == findings["verdict"]


def written(folder: Path) -> list[str]:
    """Every file below `folder`; one that goes while it is listed is no matter."""
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]


def test_a_run_killed_twice_ends_in_the_same_scores(
    run_here: Run, undisturbed: tuple[Path, dict], tmp_path: Path
) -> None:
    for until in ("*.work/progress.json", "*/shard-*.parquet"):
        process = start(tmp_path, LATENTPRINT_LOG="json", LATENTPRINT_METRICS_PORT="0")
        deadline = time.monotonic() + 600
        while not any(fnmatch(name, until) for name in written(tmp_path / "runs")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        told = metrics(process)
        assert told['latentprint_engine_tasks{kind="making",state="failed"}'] == 0
        assert sum(value for series, value in told.items() if series.startswith("latentprint_engine_tasks")) > 2
        process.kill()  # its servers and its Ray end by themselves
        process.wait()
    asked = [value for series, value in told.items() if 'outcome="answered"' in series]
    assert sum(asked) > 0  # by workers, in processes of their own
    findings = finish_here(run_here, tmp_path)
    for audit, expected in zip(findings["audits"], undisturbed[1]["audits"], strict=True):
        assert audit["victim"]["card"]["weights_digest"] == expected["victim"]["card"]["weights_digest"]
        assert audit["effect"]["estimate"] == pytest.approx(expected["effect"]["estimate"], abs=1e-5)
    for audit, expected in zip(findings["audits"][:4], undisturbed[1]["audits"], strict=False):
        scores = [[sample["score"] for sample in side["result"]["most_exposed"]] for side in (audit, expected)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
