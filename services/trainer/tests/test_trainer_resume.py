"""A training that is stopped or killed, and resumed, gives bit for bit the weights of one that never was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latentprint.core.bundles import BundleCard
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, Interrupted
from latentprint.core.split_files import write_split
from latentprint.core.splits import Split
from latentprint.trainer import read_progress, train, work_folder
from latentprint.trainer.progress import Progress

RECIPES = (
    "mae",
    "moco",
    "dino",
    "supervised",
    "cae",
    "ibot",
    "long-seq-mae",
    "saim",
    "simclr",
    "simsiam",
    "swav",
    "vicreg",
    "mixco",
    "rocl",
    "adv-reg",
    "mixup-mmd",
    "triplet",
    "talos",
)
SCRIPT = """
import sys
from pathlib import Path
from latentprint.core.split_files import read_split
from latentprint.trainer import train
folder = Path(sys.argv[1])
split = read_split(Path(sys.argv[2]))
options = {"embed_dim": 32, "depth": 1, "heads": 2, "batch_size": 8}
train("mae", options, split.source, split, folder, epochs=EPOCHS, seed=5, threads=1, checkpoint_every=1, resume=True)
"""


class StopAt:
    """Asks the training to stop, as Ctrl-C does, at its second report."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number
        self.reports = 0

    def __call__(self, progress: Progress) -> None:
        self.reports += 1
        if self.reports == 2:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def eager_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report after every step, so that a stop falls in the middle of an epoch."""
    monkeypatch.setattr("latentprint.trainer.progress.Reporter.due", lambda self: True)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.usefixtures("eager_reports")
def test_stopped_in_mid_epoch_and_resumed_gives_the_same_weights(recipe, train_tiny, tmp_path):
    undisturbed = train_tiny(recipe, "undisturbed")
    with pytest.raises(Interrupted, match="--resume"):
        train_tiny(recipe, "stopped", on_progress=StopAt(signal.SIGINT))
    resumed = train_tiny(recipe, "stopped", resume=True)
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.training["loss"] == undisturbed.training["loss"]
    assert resumed.training["history"] == undisturbed.training["history"]


@pytest.mark.usefixtures("eager_reports")
def test_sigterm_is_a_stop_too_and_handlers_are_put_back(train_tiny, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        train_tiny("mae", on_progress=StopAt(signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is before
    progress = read_progress(work_folder(tmp_path / "victim") / "progress.json")
    assert progress is not None
    assert progress.state == "interrupted"


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_weights(digits: DatasetSpec, split: Split, tmp_path: Path):
    epochs = 60
    write_split(split, tmp_path / "split.parquet")
    script = SCRIPT.replace("EPOCHS", str(epochs))
    command = [sys.executable, "-c", script, str(tmp_path / "killed"), str(tmp_path / "split.parquet")]
    with subprocess.Popen(command) as process:
        _wait_for_epoch(tmp_path / "killed", 5)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()

    def finish(name: str) -> BundleCard:
        options = {"embed_dim": 32, "depth": 1, "heads": 2, "batch_size": 8}
        return train("mae", options, digits, split, tmp_path / name, epochs=epochs, seed=5, threads=1, resume=True)

    assert finish("killed").weights_digest == finish("undisturbed").weights_digest


def _wait_for_epoch(folder: Path, epoch: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        progress = read_progress(work_folder(folder) / "progress.json")
        if progress is not None and progress.epoch >= epoch:
            return
        time.sleep(0.02)
    raise TimeoutError("the training did not get anywhere")


def test_same_seed_same_weights_and_another_seed_others(train_tiny):
    first, again, other = train_tiny("mae", "a"), train_tiny("mae", "b"), train_tiny("mae", "c", seed=6)
    assert first.weights_digest == again.weights_digest != other.weights_digest


@pytest.mark.usefixtures("eager_reports")
def test_a_checkpoint_of_another_training_is_refused(train_tiny, tmp_path):
    with pytest.raises(Interrupted):
        train_tiny("mae", on_progress=StopAt(signal.SIGINT))
    with pytest.raises(DataError, match="another training"):
        train_tiny("mae", seed=6, resume=True)


@pytest.mark.usefixtures("eager_reports")
def test_a_damaged_checkpoint_is_named(train_tiny, tmp_path):
    with pytest.raises(Interrupted):
        train_tiny("mae", on_progress=StopAt(signal.SIGINT))
    checkpoint = work_folder(tmp_path / "victim") / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(DataError, match="damaged"):
        train_tiny("mae", resume=True)


def test_a_finished_bundle_is_returned_untouched(train_tiny, tmp_path):
    card = train_tiny("mae")
    written = (tmp_path / "victim" / "model.safetensors").stat().st_mtime_ns
    assert train_tiny("mae") == card
    assert (tmp_path / "victim" / "model.safetensors").stat().st_mtime_ns == written
