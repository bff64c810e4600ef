import pickle
from pathlib import Path

import pytest
from mlflow import MlflowClient

from leakscope.core.errors import DataError, Interrupted
from leakscope.core.tracking import Run, finishing, open_run


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("mlflow")
    return open_run(f"sqlite:///{root}/db.sqlite", "trial", "parent", "key-1", root / "artifacts")


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
    client = MlflowClient(parent.uri)
    stored = client.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"recipe": "mae", "options.epochs": "3"}
    assert len(client.get_metric_history(run.run_id, "loss")) == 300
    assert {a.path for a in client.list_artifacts(run.run_id)} == {"figures", "note.txt"}
    assert stored.inputs.dataset_inputs[0].dataset.name == "digits"
    assert stored.data.tags["mlflow.parentRunId"] == parent.run_id


def test_a_key_finds_its_run_again_and_only_once_it_has_finished(parent: Run, tmp_path: Path) -> None:
    assert open_run(parent.uri, "trial", "parent", "key-1", tmp_path) == parent
    assert open_run(parent.uri, "trial", "parent", "another", tmp_path) != parent
    child = parent.child("audit", "key-3")
    assert parent.finished_child("key-3") is None
    assert parent.child("audit", "key-3") == child
    child.finish()
    assert parent.finished_child("key-3") == child


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "KILLED"), (Interrupted, "KILLED"), (ValueError, "FAILED")]
)
def test_a_run_that_ends_early_says_how(parent: Run, error: type[BaseException], status: str) -> None:
    child = parent.child("audit", f"key-{error.__name__}")
    with pytest.raises(error), finishing(child):
        raise error
    assert MlflowClient(parent.uri).get_run(child.run_id).info.status == status


def test_a_store_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9 does not answer"):
        open_run("http://127.0.0.1:9", "trial", "parent", "key", tmp_path)
