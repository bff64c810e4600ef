"""What a training reads, writes and logs."""

import json
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentprint.core.bundles import open_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError
from latentprint.core.splits import KNOWN, Units
from latentprint.core.tracking import Input
from latentprint.trainer import RECIPES, DefenceSpec, read_progress, train, untrained, work_folder
from latentprint.trainer.recipes.base import MEAN, STD


@dataclass
class Recorder:
    """A data set that keeps what it was asked for, and can lie about the images of some samples."""

    inner: Any
    asked: list[int] = field(default_factory=list)
    blank: frozenset[int] = frozenset()

    def __len__(self):
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def images(self, ids):
        self.asked += ids.tolist()
        images = self.inner.images(ids).copy()
        images[np.isin(ids, list(self.blank))] = 0
        return images


@dataclass(frozen=True)
class RecorderSpec(DatasetSpec):
    recorder: Any = None

    def open(self):
        return self.recorder


class Tracker:
    def __init__(self):
        self.params: dict[str, Any] = {}
        self.inputs: dict[str, Input] = {}
        self.metrics: dict[int, dict[str, float]] = {}

    def log_params(self, params: Mapping[str, Any]) -> None:
        self.params |= params

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.metrics.setdefault(step, {}).update(metrics)

    def log_input(self, what: Input, context: str) -> None:
        self.inputs[context] = what

    def log_artifact(self, path: Path) -> None:
        raise AssertionError(path)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        raise AssertionError(tags)


@pytest.mark.parametrize("recipe", RECIPES.names())
def test_weights_do_not_depend_on_non_members(recipe, train_tiny, digits, split):
    others = frozenset(split.ids(member=False).tolist())
    recorder = Recorder(digits.open(), blank=others)
    card = train_tiny(recipe, "blanked", dataset=RecorderSpec("digits", {}, recorder), evaluate_every=1)
    assert others <= set(recorder.asked), "the accuracies are measured on non-members"
    assert card.weights_digest == train_tiny(recipe, "plain").weights_digest


def test_training_reads_every_member_before_any_other_sample_and_none_outside_the_split(train_tiny, digits, split):
    recorder = Recorder(digits.open())
    train_tiny("mae", dataset=RecorderSpec("digits", {}, recorder))
    members = split.ids(member=True)
    assert recorder.asked[: len(members)] == members.tolist()
    assert set(recorder.asked) == set(split.sample_id.tolist())


def test_of_members_the_samples_that_are_not_marked_as_trained_on_are_not_trained_on(train_tiny, digits, split):
    trained = split.member & (np.arange(len(split.member)) % 2 == 0)
    users = replace(split, units=Units(np.where(split.member, 0, 1), trained), role=np.full(len(trained), KNOWN))
    recorder = Recorder(digits.open())
    card = train_tiny("mae", dataset=RecorderSpec("digits", {}, recorder), split=users)
    assert card.training["members"] == trained.sum()
    assert recorder.asked[: trained.sum()] == split.sample_id[trained].tolist()
    assert not set(split.sample_id[split.member & ~trained].tolist()) & set(recorder.asked)


@pytest.mark.parametrize("recipe", RECIPES.names())
def test_a_bundle_answers_as_the_encoder_that_was_trained(recipe, train_tiny, digits, split, tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        "latentprint.trainer.workspace.save_bundle",
        lambda model, folder, card, args: (kept.update(model=model), _save(model, folder, card, args))[1],
    )
    card = train_tiny(recipe)
    encoder, read = open_bundle(tmp_path / "victim")
    assert read == card
    images = digits.open().images(split.sample_id[:5])
    answers = encoder.answer(images, card.outputs)
    from latentprint.core.encoders import Encoder

    direct = Encoder(kept["model"], card.outputs, MEAN, STD).answer(images, card.outputs)
    for name in card.outputs:
        np.testing.assert_allclose(answers[name], direct[name], atol=1e-5)
    halves = encoder.answer(np.ascontiguousarray(images[:, :16, :16]), card.outputs)
    assert halves["feature_map"].shape[1] == answers["feature_map"].shape[1] // 4


def _save(model, folder, card, args):
    from latentprint.core.bundles import save_bundle

    return save_bundle(model, folder, card, args)


def test_untrained_has_the_architecture_and_other_weights(train_tiny, digits, split, tmp_path):
    victim = train_tiny("mae")
    options = dict(victim.options)
    control = untrained("mae", options, digits, split, tmp_path / "control", seed=11)
    assert control.recipe == "untrained"
    assert control.training["of"] == "mae"
    assert control.weights_digest != victim.weights_digest
    assert (control.mean, control.std, control.outputs) == (victim.mean, victim.std, victim.outputs)
    config = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("victim", "control")]
    assert config[0] == config[1]
    assert untrained("mae", options, digits, split, tmp_path / "control", seed=11) == control
    other = untrained("mae", options, digits, split, tmp_path / "other", seed=12)
    assert other.weights_digest != control.weights_digest


def test_metrics_progress_and_card(train_tiny, tmp_path):
    tracker = Tracker()
    card = train_tiny("supervised", epochs=4, evaluate_every=2, tracker=tracker)
    assert sorted(tracker.metrics) == [1, 2, 3, 4]
    assert all({"loss", "learning_rate"} <= set(values) for values in tracker.metrics.values())
    assert "knn_accuracy" in tracker.metrics[2]
    assert {"knn_accuracy", "probe_accuracy", "seconds"} <= set(tracker.metrics[4])
    assert tracker.params["options"]["batch_size"] == 8
    assert tracker.inputs["training"].profile["sample_shape"] == [32, 32, 3]
    assert tracker.inputs["split"].digest == card.split_digest
    assert card.training["loss"] == tracker.metrics[4]["loss"]
    assert [entry["epoch"] for entry in card.training["history"]] == [2]
    progress = read_progress(work_folder(tmp_path / "victim") / "progress.json")
    assert progress is not None
    assert (progress.state, progress.epoch, progress.images) == ("finished", 4, 80)
    assert not (work_folder(tmp_path / "victim") / "checkpoint.safetensors").exists()


def test_early_stop_follows_the_whole_schedule_half_way(train_tiny):
    whole, half = Tracker(), Tracker()
    train_tiny("mae", "whole", epochs=4, tracker=whole)
    card = train_tiny("mae", "half", epochs=4, tracker=half, defences=[DefenceSpec("early-stop")])
    assert sorted(half.metrics) == [1, 2]
    assert [half.metrics[e]["loss"] for e in (1, 2)] == [whole.metrics[e]["loss"] for e in (1, 2)]
    assert [half.metrics[e]["learning_rate"] for e in (1, 2)] == [whole.metrics[e]["learning_rate"] for e in (1, 2)]
    assert card.training["stopped_after"] == 2
    assert card.training["defences"] == [{"name": "early-stop", "options": {}}]


def test_a_loss_that_is_not_finite_names_the_epoch_and_a_way_out(train_tiny, tmp_path):
    with pytest.raises(UsageError, match=r"not finite in epoch \d.*learning_rate"):
        train_tiny("supervised", options={"learning_rate": 1e30}, epochs=3)
    assert not (tmp_path / "victim").exists()


def test_a_training_that_diverges_in_its_last_step_makes_no_victim(train_tiny, tmp_path):
    with pytest.raises(UsageError, match=r"weights are not finite in epoch 1 .*learning_rate"):
        train_tiny("mae", options={"learning_rate": 1e38, "warmup": 0.0, "batch_size": 20}, epochs=1)
    assert not (tmp_path / "victim").exists()


def test_finite_weights_whose_answers_are_not_make_no_victim(train_tiny, tmp_path):
    with pytest.raises(UsageError, match="embedding is not finite"):
        train_tiny("mae", options={"learning_rate": 1e30, "warmup": 0.0, "batch_size": 20}, epochs=1)
    assert not (tmp_path / "victim").exists()


def test_a_folder_that_cannot_be_written_is_told_before_training(train_tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"Cannot write .*file"):
        train_tiny("mae", "file/victim")


def test_no_space_left_keeps_the_earlier_checkpoint(train_tiny, tmp_path):
    checkpoint = work_folder(tmp_path / "victim") / "checkpoint.safetensors"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen: list[bytes] = []

    def shrink(progress):
        if checkpoint.exists() and not seen:
            seen.append(checkpoint.read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("latentprint.trainer.progress.Reporter.due", lambda self: True)
            with pytest.raises(DataError, match="free some space"):
                train_tiny("mae", epochs=20, checkpoint_every=1, on_progress=shrink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [checkpoint.read_bytes()] == seen
    assert train_tiny("mae", epochs=20, resume=True) == train_tiny("mae", epochs=20)


@pytest.mark.parametrize("content", ["notes.txt", "config.json"])
def test_a_folder_that_holds_something_else_is_never_overwritten(content, train_tiny, tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / content).write_text("mine")
    with pytest.raises(UsageError, match="choose another folder"):
        train_tiny("mae")
    assert (tmp_path / "victim" / content).read_text() == "mine"


def test_a_bundle_of_another_training_is_never_overwritten(train_tiny):
    train_tiny("mae")
    with pytest.raises(UsageError, match="another bundle"):
        train_tiny("mae", seed=6)


def test_a_split_of_another_data_set_is_refused(split, tmp_path):
    with pytest.raises(DataError, match="draw a new split"):
        train("mae", {}, DatasetSpec("composites", {"count": 50}), split, tmp_path / "victim", epochs=1)
