"""Runs in a real local store: what is logged is there, once, whichever process logs it."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as StoredRun
from rich.console import Console

from latentprint.core.errors import Interrupted
from latentprint.core.tracking import KEY_TAG, Run, default_uri, finishing, new_run, open_run, tracked


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("mlflow")
    return open_run(f"sqlite:///{root}/db.sqlite", "trial", "parent", "key-1", root / "artifacts")


def stored(run: Run) -> list[StoredRun]:
    """The runs that the store holds under the key of `run`."""
    client = MlflowClient(run.address.uri)
    experiment = client.get_experiment_by_name(run.address.experiment)
    return list(client.search_runs([experiment.experiment_id], f"tags.`{KEY_TAG}` = '{run.address.lineage[-1][1]}'"))


def test_everything_logged_is_there_when_the_run_has_finished(parent: Run, tmp_path: Path) -> None:
    (tmp_path / "figure.svg").write_text("<svg/>")
    child = pickle.loads(pickle.dumps(parent)).child("victim", "key-2")
    with finishing(child) as run:
        run.log_params({"recipe": "mae", "options": {"epochs": 3}})
        for step in range(300):
            run.log_metrics({"loss": 1 / (step + 1)}, step)
        run.log_artifact(tmp_path / "figure.svg", "figures")
        run.log_text("hello", "note.txt")
        run.log_dataset("digits", "0" * 64, "training")
    client = MlflowClient(parent.address.uri)
    (found,) = stored(child)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"recipe": "mae", "options.epochs": "3"}
    assert len(client.get_metric_history(found.info.run_id, "loss")) == 300
    assert {a.path for a in client.list_artifacts(found.info.run_id)} == {"figures", "note.txt"}
    assert found.inputs.dataset_inputs[0].dataset.name == "digits"
    assert found.data.tags["mlflow.parentRunId"] == stored(parent)[0].info.run_id
    assert not list(child.unsent.rglob("entries.jsonl"))[1:]  # the parent's, which goes on


def test_a_key_finds_its_run_again_and_only_once_it_has_finished(parent: Run, tmp_path: Path) -> None:
    open_run(parent.address.uri, "trial", "parent", "key-1", tmp_path / "artifacts")
    assert len(stored(parent)) == 1
    another = open_run(parent.address.uri, "trial", "parent", "another", tmp_path / "artifacts")
    assert stored(another)[0].info.run_id != stored(parent)[0].info.run_id
    child = parent.child("audit", "key-3")
    assert not parent.has_finished("key-3")
    parent.child("audit", "key-3")
    assert len(stored(child)) == 1
    child.finish()
    assert parent.has_finished("key-3")
    assert not another.has_finished("key-3")


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "KILLED"), (Interrupted, "KILLED"), (ValueError, "FAILED")]
)
def test_a_run_that_ends_early_says_how(parent: Run, error: type[BaseException], status: str) -> None:
    child = parent.child("audit", f"key-{error.__name__}")
    with pytest.raises(error), finishing(child):
        raise error
    assert stored(child)[0].info.status == status


def test_an_experiment_that_was_deleted_is_restored_and_that_is_said(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    first = open_run(uri, "trial", "run", "key", tmp_path / "mlflow" / "artifacts")
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("trial").experiment_id)
    with pytest.raises(ZeroDivisionError), finishing(first):
        raise ZeroDivisionError
    assert stored(first)[0].info.status == "FAILED"
    delivery = first.send_all()
    assert delivery.notes == (
        "MLflow's experiment 'trial' had been deleted and was restored, with the runs that it held.",
    )
    assert first.send_all().notes == ()


def test_names_that_mlflow_would_refuse_are_logged_as_it_takes_them(tmp_path: Path) -> None:
    hostile = "<b>\x1b[31m\n" + "x" * 10_000
    run = open_run(default_uri(tmp_path), hostile, hostile, "key", tmp_path / "mlflow" / "artifacts")
    run.log_params({hostile: hostile, "../up": 1, "/": 2, "a//b": 3})
    run.log_metrics({hostile: 1.0, "tpr@fpr=0.1%": 0.5, "not a number": float("nan")})
    run.set_tags({hostile: hostile})
    run.log_dataset(hostile, "0" * 64, hostile[:300])
    run.finish()
    assert run.send_all().notes == ()
    client = MlflowClient(run.address.uri)
    (found,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert set(found.data.params.values()) >= {"1", "2", "3"}
    assert found.data.metrics["tpr_fpr_0.1_"] == 0.5
    assert all(value.isprintable() for value in [*found.data.params.values(), *found.data.tags.values()])


@pytest.mark.parametrize("name", ["a?b", "a%20b#c", "größe a&mode=memory"])
def test_a_root_may_have_any_name(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    run = open_run(default_uri(root), "trial", "run", "key", root / "mlflow" / "artifacts")
    run.log_text("hello", "note.txt")
    run.finish()
    assert not run.send_all().kept
    assert len(stored(run)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert list(root.rglob("note.txt"))


def test_a_run_lasts_as_long_as_its_work_whenever_it_is_logged(parent: Run) -> None:
    child = parent.child("audit", "key-past", started=1_000_000)
    child.finish(ended=1_007_000)
    (found,) = stored(child)
    assert (found.info.start_time, found.info.end_time) == (1_000_000, 1_007_000)


WORKER = """
import pickle, sys
child = pickle.loads(sys.stdin.buffer.read()).child("victim", "of-a-worker")
child.log_metrics({"loss": 1.0}, 3)
child.finish()
assert "mlflow" not in sys.modules
"""


def test_a_worker_keeps_what_the_process_sends_that_asked_it(tmp_path: Path) -> None:
    run = new_run(default_uri(tmp_path), "trial", "run", "key", tmp_path / "mlflow" / "artifacts")
    with tracked(run, Console(stderr=True)):
        done = subprocess.run([sys.executable, "-c", WORKER], input=pickle.dumps(run), capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
    (child,) = stored(Run(run.address.child("victim", "of-a-worker", 0), run.unsent))
    assert (child.info.status, child.data.metrics) == ("FINISHED", {"loss": 1.0})
    assert child.info.start_time >= stored(run)[0].info.start_time
    assert not list(run.unsent.glob("*/entries.jsonl"))


def test_a_folder_is_a_store_too(tmp_path: Path) -> None:
    run = open_run(str(tmp_path / "mlruns"), "trial", "run", "key", tmp_path / "mlflow" / "artifacts")
    run.log_metrics({"loss": 1.0}, 3)
    run.log_text("hello", "note.txt")
    run.finish()
    assert run.send_all().notes == ()
    assert stored(run)[0].data.metrics == {"loss": 1.0}
    assert list((tmp_path / "mlruns").rglob("note.txt"))
