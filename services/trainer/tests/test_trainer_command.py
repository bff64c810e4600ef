"""`latentprint train` as a user types it: what it prints, and one clear sentence for what is wrong."""

import json
import subprocess
import sys

import pytest

from latentprint.core.bundles import read_card
from latentprint.core.datasets import DatasetSpec
from latentprint.core.split_files import write_split
from latentprint.core.splits import draw_split
from latentprint.core.tracking import default_uri
from latentprint.trainer import RECIPES

SMALL = ["--set", "embed_dim=32", "--set", "depth=1", "--set", "heads=2", "--set", "batch_size=8"]
DRAWN = ["--data", "digits", "--members", "20", "--non-members", "20"]


def test_train_prints_the_accuracies_and_the_bundle_last(latentprint, tmp_path):
    out = tmp_path / "victim"
    code, printed, progress = latentprint(
        "train", "mae", *DRAWN, *SMALL, "--epochs", 2, "--threads", 1, "--out", out, "--mlflow", "none",
        "--defence", "early-stop:fraction=0.5",
    )  # fmt: skip
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].startswith("k-NN accuracy: ")
    assert lines[1].startswith("linear-probe accuracy: ")
    assert lines[-1] == f"bundle: {out}"
    assert "images/s" in progress
    assert "finished" in progress
    card = read_card(out)
    assert card.options["embed_dim"] == 32
    assert card.training["stopped_after"] == 1
    assert card.dataset == {"name": "digits", "options": {}}
    split = tmp_path / "victim.split.parquet"
    code, printed, _ = latentprint(
        "train", "mae", "--split", split, *SMALL, "--epochs", 1, "--threads", 1, "--out", tmp_path / "other",
        "--mlflow", "none",
    )  # fmt: skip
    assert code == 0
    assert read_card(tmp_path / "other").split_digest == card.split_digest


def test_yaml_is_overridden_by_the_command_line_key_by_key(latentprint, tmp_path):
    config = tmp_path / "victim.yaml"
    config.write_text(
        "recipe: mae\nepochs: 1\noptions: {embed_dim: 64, depth: 1, heads: 2}\ndata: digits\nmembers: 20\n"
        "non_members: 20\ndefences: [{name: early-stop}]\nthreads: 1\n"
    )
    out = tmp_path / "victim"
    code, _, error = latentprint("train", "--config", config, "--set", "embed_dim=32", "--out", out, "--mlflow", "none")
    assert (code, "error" in error) == (0, False)
    assert read_card(out).options["embed_dim"] == 32
    config.write_text("recipe: mae\nepoch: 1\n")
    code, _, error = latentprint("train", "--config", config, "--out", tmp_path / "other", "--mlflow", "none")
    assert code == 2
    assert "unknown key 'epoch'. Did you mean 'epochs'?" in error


@pytest.mark.slow
def test_a_training_is_logged_to_a_local_mlflow_by_default(latentprint, tmp_path):
    from mlflow import MlflowClient

    code, _, error = latentprint(
        "train", "mae", *DRAWN, *SMALL, "--epochs", 3, "--threads", 1, "--out", tmp_path / "victim"
    )
    assert code == 0, error
    client = MlflowClient(default_uri(tmp_path))
    (run,) = client.search_runs([client.get_experiment_by_name("train").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["options.embed_dim"] == "32"
    assert {"loss", "learning_rate", "knn_accuracy", "probe_accuracy"} <= set(run.data.metrics)
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mea", *DRAWN], f"Unknown recipe 'mea'. Did you mean 'mae'? Known: {', '.join(sorted(RECIPES.names()))}."),
        (["mae", "--data", "digit", *DRAWN[2:]], "Unknown data set 'digit'. Did you mean 'digits'?"),
        (["mae", *DRAWN, "--data-option", "size=3"], "unknown key 'size'"),
        (["mae", *DRAWN, "--set", "embed_dims=3"], "unknown key 'embed_dims'. Did you mean 'embed_dim'?"),
        (["mae", *DRAWN, "--set", "embed_dim=many"], "embed_dim: Input should be a valid integer"),
        (["mae", *DRAWN, "--set", "embed_dim"], "--set takes KEY=VALUE, not 'embed_dim'."),
        (["mae", *DRAWN, "--set", "crop_scale_from=1.5"], "crop"),
        (["mae", *DRAWN, "--set", "batch_size=1"], "batch_size must be at least 2"),
        (["mae", *DRAWN, "--set", "embed_dim=no"], "embed_dim: Input should be a valid integer"),
        (["mae", *DRAWN, "--set", "embed_dim=1:30"], "embed_dim: Input should be a valid integer"),
        (["mae", *DRAWN, "--set", "embed_dim=@x"], "embed_dim: Input should be a valid integer"),
        (["mae", *DRAWN, "--set", "embed_dim=[1"], "--set embed_dim: '[1' cannot be read"),
        (["mae", *DRAWN, "--set", "learning_rate=.nan"], "learning_rate: nan is no number to work with"),
        (["mae", *DRAWN, "--epochs", "0"], "epochs must be at least 1"),
        (["mae", *DRAWN, "--seed", "-1"], "seed must be at least 0, not -1."),
        (["mae", *DRAWN, "--split-seed", "-1"], "split_seed must be at least 0, not -1."),
        (["mae", *DRAWN, "--defence", "scsr"], "does not raise the crop scale of 'mae'"),
        (["mae", *DRAWN, "--defence", "stop"], "Unknown defence 'stop'."),
        (["mae", *DRAWN, "--device", "gpu"], "The device 'gpu' cannot be used here"),
        (["mae", *DRAWN, "--precision", "fp16"], "precision"),
        (["mae", *DRAWN, "--threads", "0"], "threads must be at least 1"),
        (["mae", *DRAWN, "--checkpoint-every", "0"], "give at least 1"),
        (["mae", *DRAWN, "--evaluate-every", "0"], "give at least 1"),
        (["mae", *DRAWN, "--config", "nowhere.yaml"], "No such file: nowhere.yaml."),
        (["mae", "--data", "digits", "--members", "2000", "--non-members", "20"], "needs 2020 samples"),
        (["mae", "--data", "digits"], "Give --split FILE, or --members N and --non-members N"),
        (["mae", "--members", "20", "--non-members", "20"], "No data set given"),
        (["mae", "--split", "x.parquet", "--members", "20"], "--split says who is a member: leave out --members"),
        (["mae", "--split", "x.parquet", "--probes", "2"], "--split says who is a member"),
        (["mae", "--split", "x.parquet", "--split-seed", "0"], "--split says who is a member"),
        (["mae", "--split", "x.parquet", "--data-option", "count=2"], "--data-option is of a data set: name it"),
        (["mae", "--images", "x", "--probes", "2"], "All of --images are members: leave out"),
        (["mae", "--split", "nowhere.parquet"], "No such split: nowhere.parquet."),
        ([*DRAWN], "No recipe given"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing_behind(arguments, sentence, latentprint, tmp_path):
    code, printed, error = latentprint("train", *arguments, "--out", tmp_path / "victim", "--mlflow", "none")
    assert code not in {0, 1}
    assert error.startswith("error: ")
    assert sentence in error
    assert "Traceback" not in error
    assert printed == ""
    assert not (tmp_path / "victim").exists()


def test_a_split_of_another_data_set_is_named(latentprint, tmp_path):
    dataset = DatasetSpec("composites", {"count": 60})
    write_split(draw_split(dataset.open(), members=20, non_members=20), tmp_path / "split.parquet")
    code, _, error = latentprint(
        "train", "mae", "--data", "digits", "--split", tmp_path / "split.parquet", "--out", tmp_path / "victim",
        "--mlflow", "none",
    )  # fmt: skip
    assert code == 3
    assert "was drawn from a data set with digest" in error


def test_another_split_is_never_written_over_a_kept_one(latentprint, tmp_path):
    split = tmp_path / "victim.split.parquet"
    write_split(draw_split(DatasetSpec("digits").open(), members=30, non_members=30), split)
    before = split.read_bytes()
    code, _, error = latentprint("train", "mae", *DRAWN, "--out", tmp_path / "victim", "--mlflow", "none")
    assert code == 2
    assert "keeps another split" in error
    assert split.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(latentprint, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = latentprint("train", "mae", *DRAWN, "--out", tmp_path / "file" / "victim", "--mlflow", "none")
    assert code == 3
    assert f"Cannot write {tmp_path / 'file'}" in error


def test_asking_for_help_does_not_load_torch():
    script = (
        "import json, sys; import latentprint.trainer.commands; import latentprint.trainer;"
        "print(json.dumps([name in sys.modules for name in ('torch', 'timm', 'sklearn')]))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [False, False, False]
