"""A team's MLflow (Postgres, users and passwords): what a training leaves there, and what an outage does not cost."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Run as StoredRun
from rich.console import Console

from latentprint.core.bundles import WEIGHTS, read_card
from latentprint.core.digests import digest_file
from latentprint.core.tracking import Run, deliver_all, new_run, tracked
from latentprint.encoder_server.registered import from_registry
from tests.mlflow_server import ADMIN, ADMIN_PASSWORD, MlflowServer, Postgres

pytestmark = pytest.mark.slow
TINY = ["--set", "embed_dim=32", "--set", "depth=1", "--set", "heads=2", "--set", "batch_size=8", "--threads", 1]
PRIVATE = ["--defence", "dp-sgd:epsilon=8,accountant=rdp"]
STEPS, METRICS = 2500, 4


@pytest.fixture(scope="module")
def postgres(free_ports: Callable[[int], list[int]]) -> Iterator[Postgres]:
    database = Postgres(*free_ports(1))
    database.start()
    yield database
    database.remove()


@pytest.fixture(scope="module")
def server(
    postgres: Postgres, free_ports: Callable[[int], list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MlflowServer]:
    server = MlflowServer(postgres, *free_ports(1), tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def team(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's environment says of the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN_PASSWORD)
    monkeypatch.setenv("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "0.5")


def stored(name: str) -> StoredRun:
    """The one run of the experiment `name`."""
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    return run


def begun(uri: str, name: str, root: Path) -> Run:
    return new_run(uri, name, "run", "key", root / "mlflow" / "artifacts")


def count_in_database(postgres: Postgres, run: StoredRun, metric: str) -> int:
    statement = "select count(*) from metrics where run_uuid = %s and key like %s"
    return int(postgres.query(statement, run.info.run_id, metric, database="mlflow")[0][0])


def test_a_training_is_what_a_team_expects_to_find_and_its_bundle_is_served_from_there(
    latentprint: Callable[..., object], tmp_path: Path
) -> None:
    out, before = tmp_path / "mine", time.time() * 1000
    ended = latentprint(
        "train", "mae", "--data", "digits", "--members", 24, "--non-members", 24, "--epochs", 2, "--out", out,
        *TINY, *PRIVATE,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "warning" not in ended.err
    client, card, run = MlflowClient(), read_card(out), stored("train")
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    tags, epsilon = run.data.tags, card.training["epsilon"]
    assert tags["mlflow.source.name"] == "latentprint train"
    assert tags["mlflow.user"]
    assert tags["mlflow.note.content"].startswith(f"mae, 2 epochs on 24 members of digits, epsilon {epsilon:.3g}; k-NN")
    assert before < run.info.start_time < run.info.end_time < time.time() * 1000
    assert run.info.end_time - run.info.start_time > 1000 * card.training["seconds"]
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert 0 < run.data.metrics["system/cpu_utilization_percentage"] <= 100
    inputs = {one.tags[0].value: one.dataset for one in run.inputs.dataset_inputs}
    assert json.loads(inputs["training"].schema)["mlflow_colspec"][0]["name"] == "image"
    profile = json.loads(inputs["training"].profile)
    assert (profile["num_rows"], profile["sample_shape"], profile["values_of_class"]) == (1797, [32, 32, 3], 10)
    assert json.loads(inputs["split"].profile)["members"] == 24
    assert CodeDatasetSource.from_json(inputs["training"].source).to_dict()["tags"]["name"] == "digits"
    (version,) = client.search_model_versions("name = 'mine'")
    assert (version.run_id, version.tags["recipe"]) == (run.info.run_id, "mae")
    assert version.tags["split_digest"] == card.split_digest
    assert float(version.tags["epsilon"]) == pytest.approx(epsilon, rel=1e-4)

    client.set_registered_model_alias("mine", "audited", version.version)
    fetched = latentprint("fetch", "models:/mine@audited", "--out", tmp_path / "fetched")
    assert fetched.code == 0, fetched.err
    assert {path.name for path in (tmp_path / "fetched").iterdir()} == {path.name for path in out.iterdir()}
    victim = from_registry("models:/mine/1", None, [])
    assert (victim.name, victim.weights_digest) == ("mine", digest_file(out / WEIGHTS))
    refused = latentprint("fetch", "models:/mine@another", "--out", tmp_path / "none")
    assert (refused.code, (tmp_path / "none").exists()) == (4, False)
    assert "alias another" in refused.err


def test_ten_thousand_metrics_are_in_the_database_and_logging_them_takes_no_time(
    server: MlflowServer, postgres: Postgres, tmp_path: Path
) -> None:
    with tracked(begun(server.uri, "many", tmp_path), Console(stderr=True)) as run:
        started = time.thread_time()
        for step in range(STEPS):
            run.log_metrics({f"metric{number}": step + number for number in range(METRICS)}, step)
        spent = time.thread_time() - started
    assert count_in_database(postgres, stored("many"), "metric%") == STEPS * METRICS
    assert spent / STEPS < 0.002


def test_a_database_that_goes_and_comes_back_while_a_run_goes_on_costs_nothing(
    server: MlflowServer, postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracked(begun(server.uri, "outage", tmp_path), Console(stderr=True)) as run:
        run.log_metrics({"loss": 1.0}, 0)
        while not list((tmp_path / "mlflow" / "unsent").glob("*/sent")):
            time.sleep(0.05)
        postgres.kill()
        for step in range(1, 60):
            run.log_metrics({"loss": 1.0}, step)
            time.sleep(0.05)
        postgres.start()
        run.log_metrics({"loss": 1.0}, 60)
    assert "warning" not in capsys.readouterr().err
    assert list(deliver_all(tmp_path)) == []
    assert count_in_database(postgres, stored("outage"), "loss") == 61
    assert stored("outage").info.status == "FINISHED"


def test_a_wrong_password_is_said_and_what_was_logged_is_sent_with_the_right_one(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latentprint: Callable[..., object]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-somebody-else")
    with tracked(begun(server.uri, "locked", tmp_path), Console(stderr=True)) as run:
        run.log_metrics({"loss": 1.0}, 7)
    kept = latentprint("track", "--root", tmp_path)
    assert kept.code == 3
    assert "401" in kept.err
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN_PASSWORD)
    sent = latentprint("track", "--root", tmp_path)
    assert sent.code == 0, sent.err
    assert stored("locked").data.metrics["loss"] == 1.0
