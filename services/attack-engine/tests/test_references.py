"""Reference models: who is a member of which, what is kept of them, and what they say of their members."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking.shards import make_shards
from latentprint.attack_engine.asking.signal import SignalBatch
from latentprint.attack_engine.asking.signal_store import SignalStore, write_shard
from latentprint.attack_engine.evidence.needs import Distillation, Needs, References
from latentprint.attack_engine.evidence.posterior_metrics import scaled_logit
from latentprint.attack_engine.models.reference_design import reference_members
from latentprint.attack_engine.models.reference_job import (
    AssumedTraining,
    DistilledReferenceJob,
    SampleSet,
    TrainedReferenceJob,
    scaled_logits,
)
from latentprint.attack_engine.models.reference_store import ReferenceLogits, ReferenceStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers
from latentprint.attack_engine.models.student import Student, StudentSpec
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError

BASKETS = DatasetSpec("baskets", {"count": 400, "features": 60, "classes": 4, "noise": 0.6})
DATASET = BASKETS.open()
OTHERS = DatasetSpec("baskets", {"count": 60, "features": 60, "classes": 4, "noise": 0.6, "seed": 1})
PLAIN = {
    "architecture": "mlp",
    "architecture_options": {"hidden": 32},
    "crop_scale_from": 1.0,
    "flip": 0.0,
    "batch_size": 20,
}
MEMBERS = 80
POOL = np.random.default_rng(0).permutation(400)[:160]
ASKED = (SampleSet(BASKETS, POOL), SampleSet(BASKETS, np.setdiff1d(np.arange(400), POOL)[:50]))


TRAINING = AssumedTraining("supervised", PLAIN, 25, (), MEMBERS, np.zeros(0, dtype=np.int64))


def trained(folder: Path, number: int, asked: tuple[SampleSet, ...] = ASKED) -> TrainedReferenceJob:
    return TrainedReferenceJob("references", number, TRAINING, ASKED[0], asked, 5, folder)


@pytest.mark.parametrize(("members", "parts"), [(80, 2), (53, 3), (40, 4), (159, 2), (500, 2)])
def test_every_sample_is_in_as_many_references_as_any_other(members: int, parts: int) -> None:
    drawn = [reference_members(DATASET, POOL, members, number, 3) for number in range(3 * parts)]
    counts = np.zeros(400, dtype=int)
    for one in drawn:
        assert (np.diff(one) > 0).all()
        assert abs(len(one) - 160 / parts) < 1
        counts[one] += 1
    assert (counts[POOL] == 3).all()
    assert counts.sum() == 3 * 160
    for cut in range(3):
        together = np.concatenate(drawn[cut * parts : (cut + 1) * parts])
        assert sorted(together) == sorted(POOL)
    assert len({one.tobytes() for one in drawn}) == len(drawn)


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 7, 12])
def test_needs_are_met_where_the_design_meets_them(parts: int, count: int) -> None:
    inside = np.zeros(400, dtype=int)
    for number in range(count):
        inside[reference_members(DATASET, POOL, 160 // parts, number, 3)] += 1
    times = inside[POOL]
    for needed in range(4):
        for wanted, found in ((Needs(needed, 0), times), (Needs(0, needed), count - times)):
            assert wanted.met(parts, count) == (found.min() >= needed)
            assert replace(wanted, every=False).met(parts, count) == (found.max() >= needed)


def test_the_fewest_references_are_the_first_that_suffice() -> None:
    for parts in (2, 3, 11):
        for needs in (Needs(), Needs(1, 1), Needs(0, 2), Needs(2, 2), Needs(2, 2, every=False)):
            fewest = needs.fewest(parts)
            assert needs.met(parts, fewest)
            assert not any(needs.met(parts, count) for count in range(2, fewest))


def test_parts_are_alike_in_classes() -> None:
    label = DATASET.labels["class"]
    whole = np.bincount(label[POOL], minlength=4) / 4
    for number in range(8):
        found = np.bincount(label[reference_members(DATASET, POOL, 40, number, 1)], minlength=4)
        assert (np.abs(found - whole) <= 1).all()


def test_a_reference_never_changes_and_the_seed_decides() -> None:
    first = reference_members(DATASET, POOL, 40, 6, 1)
    assert np.array_equal(first, reference_members(DATASET, POOL, 40, 6, 1))
    assert np.array_equal(first, reference_members(DATASET, np.sort(POOL)[np.argsort(np.argsort(POOL))], 40, 6, 1))
    assert not np.array_equal(first, reference_members(DATASET, POOL, 40, 6, 2))


def said(ids: np.ndarray, reference: int) -> ReferenceLogits:
    return ReferenceLogits(ids, (ids + 1000 * reference).astype(np.float32), ids % (reference + 2) == 0)


def test_the_store_gives_rows_for_samples_in_any_order(tmp_path: Path) -> None:
    store, ids = ReferenceStore(tmp_path), np.random.default_rng(1).permutation(50)
    for reference in range(3):
        assert not store.has(reference)
        store.write(reference, {"a": said(ids, reference), "b": said(ids[:5] + 100, reference)})
        assert store.has(reference)
    wanted = np.array([4, 4, 49, 0])
    found = store.read(2, "a", wanted)
    assert (found.phi.dtype, found.inside.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(found.phi, [wanted, wanted + 1000])
    np.testing.assert_array_equal(found.inside, [wanted % 2 == 0, wanted % 3 == 0])
    np.testing.assert_array_equal(store.read(3, "b", ids[:5] + 100).phi[2], ids[:5] + 2100)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    store, ids = ReferenceStore(tmp_path), np.arange(20)
    for reference in range(4):
        store.write(reference, {"a": said(ids, reference)})
    for wanted in ([3, 20], [-1], [500]):
        with pytest.raises(DataError, match="were not asked about all of the samples: remove the folder"):
            store.read(1, "a", np.array(wanted))
    with pytest.raises(DataError, match=r"reference-0000.npz is missing or damaged"):
        store.read(1, "another data set", ids)
    with pytest.raises(DataError, match=r"reference-0004.npz is missing or damaged"):
        store.read(5, "a", ids)
    whole = (tmp_path / "reference-0001.npz").read_bytes()
    for content in (b"", b"nothing", whole[:200], whole[:-30]):
        (tmp_path / "reference-0001.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"reference-0001.npz is missing or damaged .* it is made again"):
            store.read(2, "a", ids)


def test_a_trained_reference_knows_its_members_and_forgets_its_weights(tmp_path: Path) -> None:
    for number in range(4):
        work = trained(tmp_path / "set", number)
        assert not work.finished
        work.make()
        assert work.finished
    assert [path.name for path in sorted((tmp_path / "set").iterdir())] == [f"reference-000{n}.npz" for n in range(4)]
    for path in (tmp_path / "set").iterdir():
        with np.load(path) as content:
            names = {f"{DATASET.digest}.{name}": 210 for name in ("sample_id", "phi", "inside")}
            assert {name: content[name].size for name in content.files} == names
    everyone = np.concatenate([samples.ids for samples in ASKED])
    found = ReferenceStore(tmp_path / "set").read(4, DATASET.digest, everyone)
    assert np.isfinite(found.phi).all()
    for number in range(4):
        members = reference_members(DATASET, POOL, MEMBERS, number, 5)
        np.testing.assert_array_equal(found.inside[number], np.isin(everyone, members))
        phi, inside = found.phi[number], found.inside[number]
        assert phi[inside].mean() > phi[~inside].mean() + 1
    assert (found.inside[:, :160].sum(axis=0) == 2).all()
    assert not found.inside[:, 160:].any()


def test_a_reference_is_the_same_whatever_else_is_asked_or_made(tmp_path: Path) -> None:
    trained(tmp_path / "one", 2).make()
    trained(tmp_path / "other", 2, ASKED[:1]).make()
    one, other = (ReferenceStore(tmp_path / name)._read(2, DATASET.digest) for name in ("one", "other"))
    np.testing.assert_array_equal(one.phi[:160], other.phi)


def test_samples_of_another_data_set_are_never_inside(tmp_path: Path) -> None:
    ids = np.arange(60)
    trained(tmp_path, 0, (*ASKED, SampleSet(OTHERS, ids))).make()
    found = ReferenceStore(tmp_path).read(1, OTHERS.open().digest, ids)
    assert not found.inside.any()
    assert np.isfinite(found.phi).all()
    assert ReferenceStore(tmp_path).read(1, DATASET.digest, POOL).inside.any()


def test_a_distilled_reference_imitates_and_was_trained_on_nobody(tmp_path: Path) -> None:
    query_ids = np.setdiff1d(np.arange(400), POOL)[50:]
    teacher = Student(StudentSpec("mlp", {"in_features": 60, "hidden": 32}), "posterior", (4,), (60,), 9).encoder()
    for shard in make_shards(query_ids):
        answer = teacher.answer(DATASET.images(shard.array), ("posterior",))["posterior"]
        path = SignalStore(tmp_path / "answers").shard_path(shard)
        write_shard(path, shard.array, SignalBatch(answer), asked=len(answer), seconds=1.0)
    query_set = StoredAnswers(BASKETS, query_ids, tmp_path / "answers", (4,))
    spec = StudentSpec("mlp", {"in_features": 60, "hidden": 16})
    for number in range(2):
        options = Distillation(epochs=30, batch_size=20)
        DistilledReferenceJob("d", number, options, spec, query_set, ASKED[:1], 5, tmp_path / "set").make()
    assert len(list((tmp_path / "set").iterdir())) == 2
    found = ReferenceStore(tmp_path / "set").read(2, DATASET.digest, POOL)
    assert not found.inside.any()
    own = scaled_logits(teacher, DATASET, POOL)
    assert min(np.corrcoef(own, phi)[0, 1] for phi in found.phi) > 0.5
    assert not np.array_equal(found.phi[0], found.phi[1])


def test_scaled_logits_are_those_of_the_posterior_in_batches_of_any_number() -> None:
    encoder = Student(StudentSpec("mlp", {"in_features": 60, "hidden": 8}), "posterior", (4,), (60,), 0).encoder()
    ids = np.random.default_rng(3).permutation(400)[:300]
    answer = encoder.answer(DATASET.images(ids), ("posterior",))["posterior"]
    expected = scaled_logit(answer, DATASET.labels["class"][ids])
    np.testing.assert_allclose(scaled_logits(encoder, DATASET, ids), expected, rtol=1e-4, atol=1e-5)
    assert scaled_logits(encoder, DATASET, ids[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 1}, "count must be at least 2"),
        ({"kind": "distilled", "online": True}, "set online to false"),
        ({"distillation": Distillation(output="embedding")}, "distilled ones answer posteriors"),
    ],
)
def test_references_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        References(**options)
