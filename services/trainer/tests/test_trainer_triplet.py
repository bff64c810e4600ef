"""`triplet`: the loss against a naive one, its batches, who it is trained on, and that a collapse makes no victim."""

import math

import numpy as np
import pytest
import torch

from latentprint.core.architectures.lunet import LuNet
from latentprint.core.bundles import open_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.partitions import PartSizes
from latentprint.core.split_files import read_split
from latentprint.core.splits import Split
from latentprint.core.user_partitions import UserImages, draw_user_partition
from latentprint.trainer.members import identities, identity_batches
from latentprint.trainer.recipes.triplet import Triplet, hardest_distances

PEOPLE = DatasetSpec("identities", {"users": 20, "images": 6, "height": 32, "width": 16})
OPTIONS = {"identities": 6, "images_of_each": 3, "architecture_options": {"width": 8}, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def people() -> Split:
    dataset = PEOPLE.open()
    return draw_user_partition(dataset, PartSizes(8, 8, distillation=0), UserImages(4, 2), seed=1).target


def test_the_loss_is_that_of_the_hardest_triplets(generator):
    embedding = torch.randn(12, 5, generator=generator)
    labels = torch.arange(12) % 4
    farthest, nearest = hardest_distances(embedding, labels)
    for i in range(12):
        distances = [float((embedding[i] - other).norm()) for other in embedding]
        same = [distances[j] for j in range(12) if labels[j] == labels[i] and j != i]
        others = [distances[j] for j in range(12) if labels[j] != labels[i]]
        assert float(farthest[i]) == pytest.approx(max(same), rel=1e-4)
        assert float(nearest[i]) == pytest.approx(min(others), rel=1e-4)


def test_equal_embeddings_have_a_loss_of_ln_2_and_a_finite_gradient():
    embedding = torch.ones(6, 3, requires_grad=True)
    farthest, nearest = hardest_distances(embedding, torch.arange(6) // 2)
    loss = torch.nn.functional.softplus(farthest - nearest).mean()
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(2), abs=1e-3)
    assert embedding.grad.isfinite().all()


def test_a_batch_holds_as_many_images_of_as_many_people():
    labels = torch.tensor([0] * 5 + [1] * 5 + [2] * 5 + [3])
    batches = identity_batches(labels, 6, 2, seed=3, epoch=0)
    assert len(batches) == 3  # 16 images
    for batch in batches:
        people, counts = np.unique(labels[batch], return_counts=True)
        assert len(people) == 3
        assert set(counts) == {2}
        assert all(len(set(batch[labels[batch] == who].tolist())) == (1 if who == 3 else 2) for who in people)
    again = identity_batches(labels, 6, 2, seed=3, epoch=0)
    assert all(torch.equal(*pair) for pair in zip(batches, again, strict=True))
    assert len(identity_batches(labels, 60, 2, seed=3, epoch=0)[0]) == 8  # of all four


def test_the_people_are_the_units_of_what_is_trained_on(people: Split):
    who = identities(PEOPLE.open(), people)
    assert np.bincount(who).tolist() == [4] * 8
    of_trained = people.unit[people.trained]
    assert all(len(set(of_trained[who == one])) == 1 for one in range(8))


def test_a_victim_pulls_those_together_that_it_was_trained_on(people: Split, train_tiny, tmp_path):
    card = train_tiny("triplet", dataset=PEOPLE, split=people, epochs=25, options=OPTIONS)
    encoder, _ = open_bundle(tmp_path / "victim")
    assert card.image_size == (32, 16)
    assert encoder.shapes((32, 16, 3)) == {"embedding": (128,), "feature_map": (32, 16)}
    embeddings = encoder.answer(PEOPLE.open().images(people.sample_id), ("embedding",))["embedding"]

    def spread(rows: np.ndarray) -> float:
        of = people.unit[rows]
        centred = [embeddings[rows][of == one] - embeddings[rows][of == one].mean(axis=0) for one in set(of.tolist())]
        return float(np.mean([np.linalg.norm(part, axis=1).mean() for part in centred]))

    assert spread(people.trained) < 0.9 * spread(~people.member)


def test_a_collapse_is_named_and_makes_no_victim(people: Split, train_tiny, tmp_path, monkeypatch):
    method = Triplet().build(32, 2)
    method.apart.fill_(0.01)
    method.check_trained(1.2)
    with pytest.raises(UsageError, match=r"collapsed: the triplet loss stays at ln 2 \(0\.693\)"):
        method.check_trained(0.6931)
    monkeypatch.setattr(LuNet, "forward", lambda self, images: 0 * self.norm.weight.sum().expand(len(images), 4))
    with pytest.raises(UsageError, match="collapsed"):
        train_tiny("triplet", dataset=PEOPLE, split=people, epochs=30, options=OPTIONS)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 1}, "at least 2"),
        ({"images_of_each": 1}, "at least 2"),
        ({"architecture_options": {"wdth": 8}}, "Did you mean 'width'"),
    ],
)
def test_options_that_compare_nobody_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Triplet(**options).build(32, 2)


def test_one_person_alone_is_refused(train_tiny, split, digits):
    dataset = digits.open()
    ones = np.flatnonzero(dataset.labels["class"] == 1)[:6]
    alone = Split(ones, np.ones(6, dtype=bool), np.full(6, "known"), dataset.digest, 0)
    with pytest.raises(UsageError, match="of one alone"):
        train_tiny("triplet", split=alone)


def test_members_are_users_where_the_command_says_how_many_of_their_images(latentprint, tmp_path):
    out = tmp_path / "victim"
    code, _, error = latentprint(
        "train", "triplet", "--data", "identities", "--data-option", "users=12", "--data-option", "images=5",
        "--data-option", "height=16", "--data-option", "width=8", "--members", 4, "--non-members", 4,
        "--trained-images", 3, "--probes", 2, "--set", "identities=4", "--set", "architecture_options={width: 8}",
        "--epochs", 1, "--threads", 1, "--out", out, "--mlflow", "none",
    )  # fmt: skip
    assert code == 0, error
    split = read_split(tmp_path / "victim.split.parquet")
    assert split.units is not None
    assert [int(split.trained.sum()), int(split.member.sum()), len(np.unique(split.unit))] == [12, 20, 8]
