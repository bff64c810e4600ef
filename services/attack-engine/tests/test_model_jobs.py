"""Model jobs: their kinds, their places in the store, and what the key of a training depends on."""

from dataclasses import replace
from pathlib import Path

import pytest

from latentprint.attack_engine.models.choice import DrawnSamples, VictimChoice
from latentprint.attack_engine.models.job import MODEL_JOBS, PLACEBO, TRAIN, TWIN, ModelStore
from latentprint.attack_engine.models.training import TrainingJob
from latentprint.core.bundles import read_card
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.splits import draw_split
from latentprint.trainer import DefenceSpec

DIGITS = DatasetSpec("digits", {"side": 16})


def drawn(folder: Path, seed: int = 0) -> DrawnSamples:
    split = draw_split(DIGITS.open(), members=20, non_members=20, seed=seed, source=DIGITS)
    return DrawnSamples.written(DIGITS, split, folder / f"{split.digest}.parquet")


def training(folder: Path) -> TrainingJob:
    choice = VictimChoice("v", "supervised", "s", 2)
    return TrainingJob(choice, drawn(folder), 3, ModelStore(folder / "store"))


def test_every_kind_has_a_file_of_its_own_and_a_shelf() -> None:
    room = Path(__file__).parents[1] / "src" / "latentprint" / "attack_engine" / "models"
    for entry in MODEL_JOBS:
        assert (room / entry.source).is_file()
        assert ModelStore(Path("store")).folder(entry.name, "0" * 64) == Path("store") / entry.value / ("0" * 16)


def test_a_kind_that_nobody_registered_has_no_place() -> None:
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        ModelStore(Path("store")).folder("trian", "0" * 64)


def test_a_trainings_key_is_of_what_its_weights_depend_on_and_of_nothing_else(tmp_path: Path) -> None:
    job = training(tmp_path)
    same = [replace(job, role=PLACEBO, workers=2), replace(job, choice=replace(job.choice, name="other"))]
    assert {one.key for one in same} == {job.key}
    others = [
        replace(job, seed=4),
        replace(job, choice=replace(job.choice, epochs=3)),
        replace(job, choice=replace(job.choice, options={"flip": 0.0})),
        replace(job, choice=replace(job.choice, defence=DefenceSpec("early-stop", {"fraction": 0.5}))),
        replace(job, samples=drawn(tmp_path, seed=1)),
    ]
    assert len({job.key, *(one.key for one in others)}) == 1 + len(others)


def test_a_twin_is_made_without_training_and_lies_beside_what_is_trained(tmp_path: Path) -> None:
    job = training(tmp_path)
    twin = job.twin
    twin.make()
    assert twin.finished
    assert not job.finished
    assert (job.kind, twin.kind) == (TRAIN, TWIN)
    assert twin.folder == job.folder.with_name(f"{job.folder.name}-untrained")


def test_an_audited_model_is_measured_once_when_it_is_finished(tmp_path: Path) -> None:
    job = training(tmp_path)
    job = replace(job, choice=replace(job.choice, epochs=5))
    job.make()
    measured = read_card(job.folder).training
    assert measured["history"] == []
    assert 0 <= measured["knn_accuracy"] <= 1


def test_what_is_made_alike_differs_in_samples_and_role_alone(tmp_path: Path) -> None:
    job = training(tmp_path)
    placebo = job.made_alike(PLACEBO, drawn(tmp_path, seed=1))
    assert placebo.name == "placebo of v"
    assert placebo.is_made_as(job)
    assert placebo.key != job.key
