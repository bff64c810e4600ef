"""Several workers through Ray Train: the bundle of one worker, also after a stop; and what cannot be had."""

import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from latentprint.core.errors import Interrupted, UsageError
from latentprint.core.mirror import mirrored, scratch
from latentprint.core.storage import Storage
from latentprint.trainer import read_progress, work_folder


@pytest.mark.slow
def test_two_workers_stopped_and_resumed_give_the_bundle_of_one(train_tiny, tmp_path, cluster):
    alone = train_tiny("mae", "alone", epochs=60)
    asked = []

    def stop_at_once(progress):
        if not asked:
            asked.append(os.kill(os.getpid(), signal.SIGINT))

    class Log(dict):
        def log_params(self, params):
            self[0] = dict(params)

        def log_metrics(self, metrics, step=0):
            self.setdefault(step, {}).update(metrics)

        def log_input(self, what, context):
            self.setdefault("inputs", []).append((what.name, context))

    log = Log()
    with pytest.raises(Interrupted, match=r"after \d+ of 60 epochs.*--resume"):
        train_tiny("mae", "shared", epochs=60, workers=2, on_progress=stop_at_once, tracker=log)
    progress = read_progress(work_folder(tmp_path / "shared") / "progress.json")
    assert progress.state == "interrupted"
    assert progress.images < progress.images_total
    shared = train_tiny("mae", "shared", epochs=60, workers=2, resume=True, tracker=log)
    assert shared.training["loss"] == pytest.approx(alone.training["loss"], rel=1e-3)
    assert [entry["epoch"] for entry in shared.training["history"]] == [12, 24, 36, 48]
    assert {1, 60} <= set(log)
    assert {context for _, context in log["inputs"]} == {"training", "split"}
    assert {"loss", "learning_rate", "images_per_second"} <= set(log[1])
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("alone", "shared")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-2, atol=1e-3)
    assert {path.name for path in work_folder(tmp_path / "shared").iterdir()} == {"progress.json"}


@pytest.mark.parametrize("workers", [0, 7])
def test_a_number_of_workers_that_does_not_fit_is_refused(workers, train_tiny):
    with pytest.raises(UsageError, match="at most 6, the images of the smallest batch"):
        train_tiny("mae", workers=workers)


def test_without_ray_the_package_to_install_is_named(train_tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'latentprint-trainer\[workers\]'"):
        train_tiny("mae", workers=2)


@pytest.mark.slow
def test_workers_without_this_disk_go_on_after_one_is_killed(train_tiny, tmp_path, cluster):
    alone = train_tiny("mae", "alone", epochs=60)
    killed = []

    def kill_one(progress):
        if not killed and progress.epoch >= 2:
            others = psutil.Process().children(recursive=True)
            (first, *_) = [one for one in others if "TrainWorker" in " ".join(one.cmdline())]
            killed.append(first.pid)
            first.kill()

    storage = Storage((tmp_path / "storage").as_uri())
    elsewhere = scratch(storage).root
    with mirrored(tmp_path / "runs", storage.url):
        shared = train_tiny("mae", "runs/shared", epochs=60, workers=2, checkpoint_every=1, on_progress=kill_one)
    assert killed
    assert shared.training["loss"] == pytest.approx(alone.training["loss"], rel=1e-3)
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("alone", "runs/shared")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-2, atol=1e-3)
    assert (elsewhere / "shared" / "model.safetensors").exists()  # made there, and brought from the storage
    kept = {key.split("/")[1] for key in storage.listed("")}
    assert kept == {"shared", "shared.whole", "shared.work"}
    assert {Path(key).name for key in storage.listed("runs/shared.work")} == {"progress.json"}
    shutil.rmtree(elsewhere)
