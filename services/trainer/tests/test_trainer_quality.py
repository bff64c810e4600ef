"""Accuracies against plain loops, and what training does to them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from latentprint.core.bundles import BundleCard
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import draw_split
from latentprint.core.tracking.inputs import Input
from latentprint.trainer import train, untrained
from latentprint.trainer.evaluation import LabelledVectors, knn_accuracy, probe_accuracy


@pytest.fixture
def clouds():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(4, 6))

    def draw(count: int, spread: float) -> LabelledVectors:
        labels = rng.integers(0, 4, count)
        vectors = centres[labels] + spread * rng.normal(size=(count, 6))
        return LabelledVectors(vectors.astype(np.float32), labels)

    return draw


def test_knn_against_a_loop(clouds):
    bank, queries = clouds(60, 1.0), clouds(40, 1.0)
    right = 0
    for vector, label in zip(queries.vectors, queries.labels, strict=True):
        cosine = bank.vectors @ vector / np.linalg.norm(bank.vectors, axis=1) / np.linalg.norm(vector)
        votes = np.bincount(bank.labels[np.argsort(-cosine)[:20]], minlength=4)
        right += votes.argmax() == label
    assert knn_accuracy(bank, queries) == pytest.approx(right / 40)


def test_accuracies_are_high_on_clusters_and_chance_on_shuffled_labels(clouds):
    bank, queries = clouds(400, 0.3), clouds(400, 0.3)
    shuffled = LabelledVectors(bank.vectors, np.random.default_rng(0).permutation(bank.labels))
    for accuracy in (knn_accuracy, probe_accuracy):
        assert accuracy(bank, queries) > 0.9
        assert accuracy(shuffled, queries) < 0.45


def test_a_small_bank_has_fewer_neighbours(clouds):
    assert 0 <= knn_accuracy(clouds(5, 0.1), clouds(10, 0.1)) <= 1


DATA = {
    "digits": (DatasetSpec("digits", {"side": 16}), 100),
    "composites": (DatasetSpec("composites", {"count": 400}), 100),
    "four kinds": (DatasetSpec("composites", {"count": 600, "classes": 4}), 300),
}
SMALL_VIT = {"batch_size": 25, "embed_dim": 64, "depth": 2, "heads": 2}
SETTINGS = {
    "mae": ("composites", 60, {"batch_size": 25}),
    "moco": ("digits", 20, {"batch_size": 25}),
    "mixco": ("digits", 20, {"batch_size": 25, "queue": 25, "learning_rate": 0.03}),
    "rocl": ("digits", 20, {"batch_size": 25, "queue": 25, "learning_rate": 0.03, "attack_steps": 1}),
    "dino": (
        "composites",
        60,
        {"batch_size": 25, "local_views": 2, "embed_dim": 64, "depth": 2, "heads": 2, "momentum": 0.95}
        | {"learning_rate": 1e-3},
    ),
    "supervised": ("digits", 10, {"batch_size": 25}),
    "simclr": ("digits", 10, {"batch_size": 25}),
    "simsiam": ("digits", 40, {"batch_size": 25, "learning_rate": 0.4}),
    "swav": ("digits", 10, {"batch_size": 25, "local_views": 0}),
    "vicreg": ("digits", 10, {"batch_size": 25}),
    "cae": ("four kinds", 30, SMALL_VIT | {"learning_rate": 2e-3, "alignment_weight": 1.0}),
    "ibot": (
        "four kinds",
        16,
        SMALL_VIT | {"local_views": 2, "momentum": 0.9, "learning_rate": 2e-3, "masked_images": 0.25},
    ),
    "long-seq-mae": ("four kinds", 20, SMALL_VIT),
    "saim": ("four kinds", 20, SMALL_VIT | {"learning_rate": 2e-3}),
    "triplet": (
        "digits",
        20,
        {"identities": 10, "images_of_each": 3, "architecture_options": {"width": 16}, "learning_rate": 3e-3},
    ),
}


class Losses(dict[int, float]):
    """A tracker that keeps every epoch's loss: the history has one only where accuracies are measured too."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Nothing is kept of them."""

    def log_input(self, what: Input, context: str) -> None:
        """Nothing is kept of them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        if "loss" in metrics:
            self[step] = metrics["loss"]

    def early(self, card: BundleCard, members: int) -> float:
        """After a tenth of the epochs; with a queue, of one that never met its random first keys, easy to beat."""
        filled, tenth = card.options.get("queue", 0) / members, card.training["epochs"] // 10
        return next(self[epoch] for epoch in range(tenth, max(self), tenth) if epoch - 1 >= filled)


def mean_accuracy(card: BundleCard) -> float:
    return (card.training["knn_accuracy"] + card.training["probe_accuracy"]) / 2


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SETTINGS)
def test_training_lowers_the_loss_and_beats_an_untrained_encoder(recipe, tmp_path):
    data, epochs, options = SETTINGS[recipe]
    dataset, members = DATA[data]
    split = draw_split(dataset.open(), members=members, non_members=300, seed=1)
    losses, once = Losses(), {"threads": 1, "evaluate_every": epochs}
    card = train(recipe, options, dataset, split, tmp_path / "victim", epochs=epochs, tracker=losses, **once)
    controls = [
        untrained(recipe, options, dataset, split, tmp_path / f"control{seed}", seed=seed) for seed in (1, 2, 3)
    ]
    assert card.training["loss"] < losses.early(card, members)
    assert mean_accuracy(card) > max(map(mean_accuracy, controls))
