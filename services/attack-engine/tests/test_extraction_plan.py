import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from latentprint.attack_engine.asking import AnswerStore, Counts, Endpoint, EndpointSpec
from latentprint.attack_engine.asking.plan import ExtractionPlan, plan_extraction, signal_key
from latentprint.attack_engine.asking.plan_table import plan_table
from latentprint.attack_engine.asking.shards import make_shards, samples_per_shard
from latentprint.attack_engine.asking.signal import SignalBatch
from latentprint.attack_engine.asking.signal_store import SignalStore, read_signals, write_shard
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.core.datasets import DatasetSpec, Ids, Images
from latentprint.core.errors import BudgetError, DataError, UsageError

_DIGITS = DatasetSpec("digits", {"side": 32})
_SIGNAL = PartCropSignal(crops=6)


def _plan(bundle: Path, folder: Path, **options: object) -> ExtractionPlan:
    given = {"signals": [_SIGNAL], "sample_ids": np.arange(20), "shard_size": 8} | options
    spec = given.pop("endpoint", EndpointSpec(f"local:{bundle}", images_per_request=16))
    return plan_extraction(given.pop("signals"), _DIGITS, given.pop("sample_ids"), spec, folder, **given)


def _run(plan: ExtractionPlan, tasks: slice = slice(None)) -> None:
    worker = ShardWorker([plan])
    for task in tasks_of([plan])[tasks]:
        worker.run(task)
    worker.close()


@given(st.sets(st.integers(0, 500)), st.integers(1, 20), st.data())
def test_shards_hold_each_sample_once_and_stay_as_they_are(ids: set[int], size: int, data: st.DataObject) -> None:
    shards = make_shards(ids, size)
    assert sorted(i for shard in shards for i in shard.ids) == sorted(ids)
    finished = set(data.draw(st.lists(st.sampled_from(shards)))) if shards else set()
    left = ids - {i for shard in finished for i in shard.ids}
    assert make_shards(left, size) == tuple(shard for shard in shards if shard not in finished)
    assert len({shard.name for shard in shards}) == len(shards)


def test_members_and_non_members_are_asked_side_by_side() -> None:
    asked = np.array([i for shard in make_shards(range(400), 64) for i in shard.ids])
    member = asked < 200
    assert abs(np.corrcoef(np.arange(400), member)[0, 1]) < 0.15
    runs = 1 + np.count_nonzero(np.diff(member.astype(int)))
    assert 150 < runs < 250  # 201 on average of a coin
    for request in np.split(member, 10):
        assert 8 < request.sum() < 32


def test_models_are_asked_in_turn_so_that_workers_do_not_wait_for_one(tiny_bundle: Path, tmp_path: Path) -> None:
    plans = [_plan(tiny_bundle, tmp_path / str(count), sample_ids=np.arange(count)) for count in (20, 10, 24)]
    places = [(task.plan, task.shard) for task in tasks_of(plans)]
    assert places == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (2, 2)]


@pytest.mark.parametrize(
    ("queries", "answer_bytes", "samples"),
    [(1, 400, 1024), (1, 600_000, 111), (1, 10**9, 64), (10, 2048, 102), (129, 2048, 64)],
)
def test_cheap_signals_come_in_larger_shards(queries: int, answer_bytes: int, samples: int) -> None:
    assert samples_per_shard(queries, answer_bytes) == samples


def test_a_signal_that_asks_once_is_planned_in_one_shard(tiny_bundle: Path, tmp_path: Path) -> None:
    plan = _plan(tiny_bundle, tmp_path, signals=[PlainAnswer("embedding")], sample_ids=np.arange(200), shard_size=None)
    (shard,) = plan.signals[0].shards
    assert len(shard.ids) == 200
    _run(plan)
    assert read_signals(plan.signals[0].folder, np.arange(200)).values.shape[0] == 200


def test_the_plan_counts_before_anything_is_asked(tiny_bundle: Path, tmp_path: Path) -> None:
    plan = _plan(tiny_bundle, tmp_path, budget=200, images_per_second=70.0)
    (row,) = plan.signals
    assert (row.samples, row.extracted, row.queries, row.total, row.pending) == (20, 0, 7, 140, 140)
    assert (plan.pending, plan.spent, plan.seconds) == (140, 0, 2.0)
    text = io.StringIO()
    Console(file=text, width=200).print(plan_table(plan))
    for words in ("partcrop", "140", "budget 200, 200 left", "about 2 s"):
        assert words in text.getvalue()


def test_a_plan_beyond_the_budget_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"140 more images.*139 of the budget of 139.*none of them was sent"):
        _plan(tiny_bundle, tmp_path, budget=139)


@pytest.mark.parametrize("shard_size", [5, 20])
def test_values_are_the_signals_own_whatever_the_shards(tiny_bundle: Path, tmp_path: Path, shard_size: int) -> None:
    ids = np.random.default_rng(1).permutation(200)[:20]
    plan = _plan(tiny_bundle, tmp_path, sample_ids=ids, shard_size=shard_size)
    _run(plan)
    got = read_signals(plan.signals[0].folder, ids)
    with EndpointSpec(f"local:{tiny_bundle}").open() as endpoint:
        expected = _SIGNAL.extract(_DIGITS.open().images(ids), ids, endpoint)
    np.testing.assert_allclose(got.values, expected.values, atol=1e-5)
    np.testing.assert_allclose(got.diagnostics["part_response"], expected.diagnostics["part_response"], atol=1e-5)
    backwards = read_signals(plan.signals[0].folder, ids[::-1])
    np.testing.assert_array_equal(backwards.values, got.values[::-1])


def test_what_is_there_is_not_asked_again(tiny_bundle: Path, tmp_path: Path) -> None:
    _run(_plan(tiny_bundle, tmp_path), slice(0, 2))
    plan = _plan(tiny_bundle, tmp_path, budget=140)
    assert (plan.signals[0].extracted, plan.pending, plan.spent) == (16, 28, 112)
    assert plan.images_per_second is not None
    _run(plan)
    more = _plan(tiny_bundle, tmp_path, sample_ids=np.arange(22), budget=154)
    assert (more.signals[0].extracted, more.pending, more.spent) == (20, 14, 140)


@dataclass(frozen=True)
class _Stopping:
    """PartCrop's signal, until the second half of a shard's queries."""

    name = "stopping"
    outputs = _SIGNAL.outputs

    def queries_per_sample(self, image_size: tuple[int, int]) -> int:
        return 2

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        values = endpoint.query(images, ("embedding",))["embedding"]
        if not endpoint.counts.cached:
            raise KeyboardInterrupt
        return SignalBatch(values + endpoint.query(255 - images, ("embedding",))["embedding"])


def test_an_unfinished_shard_replays_its_answers_within_the_very_budget(tiny_bundle: Path, tmp_path: Path) -> None:
    plan = _plan(tiny_bundle, tmp_path, signals=[_Stopping()], budget=40)
    with pytest.raises(KeyboardInterrupt):
        _run(plan)
    again = _plan(tiny_bundle, tmp_path, signals=[_Stopping()], budget=40)
    assert (again.signals[0].kept, again.pending, again.spent) == (8, 32, 8)
    _run(again, slice(0, 1))
    assert AnswerStore(again.answers).answers() == 0


@pytest.mark.parametrize("keep", [True, False])
def test_other_shards_and_requests_find_what_an_unfinished_shard_was_answered(
    tiny_bundle: Path, tmp_path: Path, keep: bool
) -> None:
    plan = _plan(tiny_bundle, tmp_path, signals=[_Stopping()], budget=40, keep=keep)
    with pytest.raises(KeyboardInterrupt):
        _run(plan)
    other = replace(EndpointSpec(f"local:{tiny_bundle}"), images_per_request=3)
    again = _plan(tiny_bundle, tmp_path, signals=[_Stopping()], budget=40, keep=keep, shard_size=20, endpoint=other)
    _run(again)
    with again.ledger.open() as ledger:
        assert ledger.spent == 40
        assert ledger.counts(again.signals[0].key) == Counts(40, 40, cached=8)


def test_another_signal_asks_only_what_is_missing(tiny_bundle: Path, tmp_path: Path) -> None:
    _run(_plan(tiny_bundle, tmp_path, keep=True))
    wider = _plan(tiny_bundle, tmp_path, keep=True, signals=[replace(_SIGNAL, crops=9)])
    _run(wider)
    narrower = _plan(tiny_bundle, tmp_path, keep=True, signals=[PlainAnswer("feature_map")])
    _run(narrower)
    with wider.ledger.open() as ledger:
        assert ledger.counts(narrower.signals[0].key) == Counts(cached=20)
        assert ledger.counts(wider.signals[0].key).cached == 20 * 7


def test_answers_kept_for_good_serve_other_signals(tiny_bundle: Path, tmp_path: Path) -> None:
    _run(_plan(tiny_bundle, tmp_path, keep=True, budget=140))
    other = _plan(tiny_bundle, tmp_path, keep=True, budget=140, signals=[replace(_SIGNAL, energies="uniform")])
    _run(other)
    both = read_signals(_plan(tiny_bundle, tmp_path).signals[0].folder, np.arange(20)).values
    np.testing.assert_array_equal(read_signals(other.signals[0].folder, np.arange(20)).values, both[:, :6])


def test_a_key_depends_on_signal_endpoint_and_data(tiny_bundle: Path) -> None:
    with EndpointSpec(f"local:{tiny_bundle}").open() as endpoint:
        card = endpoint.card
    keys = {
        signal_key(_SIGNAL, card, "data"),
        signal_key(replace(_SIGNAL, seed=1), card, "data"),
        signal_key(_SIGNAL, replace(card, serving_digest="other"), "data"),
        signal_key(_SIGNAL, card, "other"),
    }
    assert len(keys) == 4
    assert signal_key(_SIGNAL, replace(card, url="grpc://elsewhere:1"), "data") in keys


def test_requests_that_cannot_be(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="samples 0 to 1796, not 1797"):
        _plan(tiny_bundle, tmp_path, sample_ids=np.array([3, 1797]))
    with pytest.raises(UsageError, match="no sample"):
        _plan(tiny_bundle, tmp_path, sample_ids=np.array([], dtype=np.int64))


def test_samples_that_were_not_extracted(tiny_bundle: Path, tmp_path: Path) -> None:
    plan = _plan(tiny_bundle, tmp_path)
    with pytest.raises(DataError, match="20 of 20 samples"):
        read_signals(plan.signals[0].folder, np.arange(20))
    _run(plan, slice(0, 1))
    with pytest.raises(DataError, match="12 of 20 samples"):
        read_signals(plan.signals[0].folder, np.arange(20))


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shard-0.parquet"
    write_shard(path, np.arange(3), SignalBatch(np.ones((3, 2), dtype=np.float32)), asked=3, seconds=1.0)
    assert SignalStore(tmp_path).sample_ids() == {0, 1, 2}
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"shard-0\.parquet is damaged"):
        SignalStore(tmp_path).sample_ids()
