"""An endpoint whose address stays and whose model does not: nothing that is kept is taken for the new model's."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import grpc
import numpy as np
import pytest
from mlflow import MlflowClient
from numpy.typing import NDArray
from rich.console import Console

from latentprint.attack_engine.asking import AnswerStore, EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.model_identity import EVERY, ModelIdentityCheck, difference
from latentprint.attack_engine.asking.plan import ExtractionPlan, plan_extraction
from latentprint.attack_engine.asking.signal_store import read_signals
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.views import VarianceSignal
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import EndpointError
from latentprint.core.oip import METHODS, SERVICE, from_request, to_response

pytestmark = pytest.mark.slow
_SIDE, _WIDTH = 32, 16
_DIGITS = DatasetSpec("digits", {"side": _SIDE})
_IDS = np.arange(60)


class Stranger:
    """Another make of server, on one port, that publishes no digest: what it serves is a matter of `seed`."""

    def __init__(self, seed: int, *, features: int = 0, noise: float = 0.0, drift: float = 0.0) -> None:
        self.seed, self.features, self.noise, self.drift = seed, features, noise, drift
        self.answered, self.width, self.surplus = 0, _WIDTH, 0
        self.properties: dict[str, str] = {}
        self.then: tuple[int, Callable[[], None]] | None = None
        self._lock = Lock()
        self._port = 0
        self.start()

    @property
    def spec(self) -> EndpointSpec:
        return EndpointSpec(f"grpc://127.0.0.1:{self._port}/m", images_per_request=20, in_flight=2)

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(4))
        calls: dict[str, Callable[[Any, Any], Any]] = {
            "ServerMetadata": lambda *_: METHODS["ServerMetadata"].response(name="other"),
            "ServerReady": lambda *_: METHODS["ServerReady"].response(ready=True),
            "ModelReady": lambda *_: METHODS["ModelReady"].response(ready=True),
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                call,
                request_deserializer=METHODS[name].request.FromString,
                response_serializer=METHODS[name].response.SerializeToString,
            )
            for name, call in calls.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def restart(self, seed: int) -> None:
        self.stop()
        self.seed = seed
        self.start()

    def embedded(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """What it answers: a random projection of the samples."""
        rows = samples.reshape(len(samples), -1).astype(np.float64) / (1 if self.features else 255)
        projection = np.random.default_rng(self.seed).standard_normal((rows.shape[1], self.width))
        answer = rows @ projection
        return np.asarray(answer * (1 + self.noise * np.random.standard_normal(answer.shape)), dtype=np.float32)

    def _metadata(self, *_: Any) -> Any:
        response = METHODS["ModelMetadata"].response(name="m", versions=["1"])
        image = [-1, self.features] if self.features else [-1, _SIDE, _SIDE, 3]
        response.inputs.add(name="x", datatype="FP32" if self.features else "UINT8", shape=image)
        response.outputs.add(name="embedding", datatype="FP32", shape=[-1, _WIDTH])
        response.latentprint_properties.update(self.properties)
        return response

    def _infer(self, request: Any, _: Any) -> Any:
        (samples,) = from_request(request).values()
        answer = self.embedded(samples)
        with self._lock:
            if self.drift:  # one number tells nothing but when a sample was asked
                answer[:, -1] = 1 + self.drift * (self.answered + np.arange(len(samples)))
            self.answered += len(samples)
            due = self.then is not None and self.answered >= self.then[0]
            then, self.then = (self.then, None) if due else (None, self.then)
        if then is not None:
            then[1]()
        answer = np.resize(answer, (max(0, len(samples) + self.surplus), answer.shape[1]))
        return to_response("m", {"embedding": answer}, request_id=request.id)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    server = Stranger(1)
    yield server
    server.stop()


def _plan(spec: EndpointSpec, folder: Path, **options: Any) -> ExtractionPlan:
    return plan_extraction([PlainAnswer("embedding")], _DIGITS, _IDS, spec, folder, **({"shard_size": 30} | options))


def _extract(plan: ExtractionPlan) -> None:
    """As `extract` does it, with one worker in this process."""
    assert plan.check is not None
    with plan.endpoint.open(plan.ledger) as endpoint:
        plan.check.begin(endpoint)
    worker = ShardWorker([plan])
    try:
        for task in tasks_of([plan]):
            worker.run(task)
    finally:
        worker.close()


def _values(plan: ExtractionPlan) -> NDArray[np.float32]:
    return read_signals(plan.signals[0].folder, _IDS).values


def test_the_same_address_with_other_weights_is_refused_before_a_sample_is_asked(
    stranger: Stranger, tmp_path: Path, cluster: None
) -> None:
    plan = _plan(stranger.spec, tmp_path, budget=200)
    assert plan.canaries == 4 * 2 + 4 * 2  # asked twice at first, then before each of two shards is kept
    ((first,),) = extract([plan])
    assert stranger.answered == 60 + plan.canaries
    assert (first.counts.answered, first.canaries, first.unchecked) == (60, plan.canaries, "")
    assert first.taken is not None
    assert time.time() - 60 < first.taken[0] <= first.taken[1] <= time.time()
    with plan.ledger.open() as ledger:
        assert ledger.spent == stranger.answered
    again = _plan(stranger.spec, tmp_path)
    assert (again.pending, again.canaries, again.taken) == (0, 4, first.taken)
    extract([again])

    before = stranger.answered
    stranger.restart(seed=2)
    with pytest.raises(EndpointError, match=r"another model than the one whose answers are kept.*--fresh"):
        extract([_plan(stranger.spec, tmp_path)])
    assert stranger.answered - before == 8  # the canaries, and once more alone, to be sure
    stranger.restart(seed=1)
    extract([_plan(stranger.spec, tmp_path)])


def test_the_same_weights_at_two_addresses_share_nothing(stranger: Stranger, tmp_path: Path) -> None:
    """One of them rounds its answers, and neither says how it serves: their weights alone make no endpoint."""
    rounding = Stranger(1, noise=0.01)
    stranger.properties = rounding.properties = {"weights_digest": "0" * 64, "architecture": "projection"}
    for server in (stranger, rounding):
        plan = _plan(server.spec, tmp_path)
        assert (plan.pending, plan.canaries) == (60, 16)
        _extract(plan)
        assert server.answered == 60 + plan.canaries
    rounding.stop()


@pytest.mark.parametrize("how", ["restarted", "swapped"])
def test_a_model_that_changes_in_mid_extraction_leaves_no_row(stranger: Stranger, tmp_path: Path, how: str) -> None:
    """Restarted with other weights, as a process is, or swapped behind a connection that stays."""

    def change() -> None:
        if how == "swapped":
            stranger.seed = 2
        else:
            Thread(target=stranger.restart, args=(2,)).start()

    plan = _plan(replace(stranger.spec, images_per_request=5, images_per_second=150.0), tmp_path, shard_size=20)
    stranger.then = (40, change)
    with pytest.raises(EndpointError, match="another model than the one whose answers are kept"):
        _extract(plan)
    while how == "restarted" and stranger.seed == 1:
        time.sleep(0.05)
    with pytest.raises(EndpointError, match="another model"):
        _extract(_plan(stranger.spec, tmp_path, shard_size=20))
    stranger.restart(seed=1)
    whole = _plan(stranger.spec, tmp_path, shard_size=20)
    assert whole.pending > 0
    _extract(whole)
    np.testing.assert_allclose(_values(whole), stranger.embedded(_DIGITS.open().images(_IDS)), rtol=1e-4, atol=1e-4)


def test_long_shards_are_checked_on_the_way(stranger: Stranger, tmp_path: Path) -> None:
    spec = replace(stranger.spec, canary_every=100)
    plan = plan_extraction([VarianceSignal()], _DIGITS, _IDS, spec, tmp_path)
    assert plan.canaries == 4 * 2 + 4 * (1 + 600 // 100)
    stranger.then = (150, lambda: setattr(stranger, "seed", 2))
    with pytest.raises(EndpointError, match="another model"):
        _extract(plan)
    assert stranger.answered < 400  # of 600 in one shard


def _check(spec: EndpointSpec, folder: Path, sample_shape: tuple[int, ...] = (_SIDE, _SIDE, 3)) -> ModelIdentityCheck:
    with spec.open() as endpoint:
        check = spec.check(endpoint.card, folder, ("embedding",), sample_shape)
        assert check is not None
        check.begin(endpoint)
    return check


def test_what_another_worker_kept_of_the_new_model_is_forgotten_too(stranger: Stranger, tmp_path: Path) -> None:
    plan = _plan(stranger.spec, tmp_path)
    assert plan.check is not None
    images = _DIGITS.open().images(_IDS[:30])
    with plan.endpoint.open() as first, plan.endpoint.open() as second:
        plan.check.begin(first)
        first.keep_watch(plan.check)
        first.kept = AnswerStore(plan.answers, plan.signals[0].answers_label)
        stranger.seed = 2
        first.query(images, ("embedding",))
        second.keep_watch(plan.check)
        second.query(images, ("embedding",))
        with pytest.raises(EndpointError, match="another model"):
            second.confirm()
    assert first.kept.answers() == 30
    stranger.restart(seed=1)
    again = _plan(stranger.spec, tmp_path)
    assert (first.kept.answers(), again.pending) == (0, 60)
    _extract(again)
    np.testing.assert_allclose(_values(again), stranger.embedded(_DIGITS.open().images(_IDS)), rtol=1e-4, atol=1e-4)


def test_what_another_worker_kept_is_not_used_unchecked(stranger: Stranger, tmp_path: Path) -> None:
    plan = _plan(stranger.spec, tmp_path, keep=True)
    assert plan.check is not None
    images = _DIGITS.open().images(_IDS[:30])
    with (
        plan.endpoint.open(kept=AnswerStore(plan.answers)) as first,
        plan.endpoint.open(kept=AnswerStore(plan.answers)) as second,
    ):
        plan.check.begin(first)
        first.keep_watch(plan.check)
        second.keep_watch(plan.check)
        first.query(images, ("embedding",))
        second.query(images, ("embedding",))
        second.confirm()
        stranger.seed = 2
        first.query(255 - images, ("embedding",))
        second.query(255 - images, ("embedding",))
        assert second.counts.cached == 60
        with pytest.raises(EndpointError, match="another model"):
            second.confirm()


@pytest.mark.parametrize("surplus", [-1, 1])
def test_another_number_of_answers_than_of_questions_is_a_sentence(
    stranger: Stranger, tmp_path: Path, surplus: int
) -> None:
    stranger.surplus = surplus
    with pytest.raises(EndpointError, match=f"{4 + surplus} rows of 'embedding' for 4 images"):
        _extract(_plan(stranger.spec, tmp_path))


def test_answers_that_change_their_width_on_the_way_are_a_sentence(stranger: Stranger) -> None:
    stranger.then = (20, lambda: setattr(stranger, "width", 8))
    with replace(stranger.spec, in_flight=1).open() as endpoint, pytest.raises(EndpointError, match="shapes"):
        endpoint.query(_DIGITS.open().images(_IDS), ("embedding",))


def test_noise_that_was_not_there_before_is_another_model(tmp_path: Path) -> None:
    server = Stranger(1)
    _check(server.spec, tmp_path)
    server.noise = 0.4
    server.restart(seed=2)
    with pytest.raises(EndpointError, match="another model"):
        _check(server.spec, tmp_path)
    server.stop()


@pytest.mark.parametrize("noise", [0.0, 0.008, 0.03])
def test_noise_is_no_other_model_and_hides_none(tmp_path: Path, noise: float) -> None:
    server = Stranger(1, noise=noise)
    for _ in range(5):
        assert _check(server.spec, tmp_path).unchecked == ""
    server.restart(seed=2)
    with pytest.raises(EndpointError, match="another model"):
        _check(server.spec, tmp_path)
    server.stop()


def test_an_endpoint_too_noisy_to_tell_models_apart_is_said_to_be(tmp_path: Path) -> None:
    server = Stranger(1, noise=0.6)
    _extract(_plan(server.spec, tmp_path / "runs"))
    for seed in (1, 2):
        server.restart(seed)
        with (tmp_path / "said").open("w") as said:
            ((found,),) = extract([_plan(server.spec, tmp_path / "runs")], console=Console(file=said, width=300))
        assert "too differently from one time to the next (embedding)" in found.unchecked
        assert "keeps serving the same model cannot be checked" in (tmp_path / "said").read_text()
    server.stop()


def test_vectors_have_canaries_too(tmp_path: Path) -> None:
    server = Stranger(1, features=7)
    check = _check(server.spec, tmp_path, (7,))
    assert check.samples().shape == (4, 7)
    server.restart(seed=2)
    with pytest.raises(EndpointError, match="another model"):
        _check(server.spec, tmp_path, (7,))
    server.stop()


def test_without_canaries_and_without_a_digest_it_is_said(stranger: Stranger, tmp_path: Path) -> None:
    check = _check(replace(stranger.spec, canaries=0), tmp_path)
    assert check.unchecked == "no serving digest is published and no canary was asked"
    assert stranger.answered == 0


def test_canaries_are_the_same_images_in_every_run(stranger: Stranger, tmp_path: Path) -> None:
    check = _check(stranger.spec, tmp_path)
    assert check.every == EVERY
    images = check.samples()
    assert (images.shape, images.dtype) == ((4, _SIDE, _SIDE, 3), np.uint8)
    np.testing.assert_array_equal(images, check.samples())
    assert len({image.tobytes() for image in images}) == 4
    assert replace(check, sample_shape=(48, 40, 3)).samples().shape == (4, 48, 40, 3)


def test_a_difference_is_relative_and_never_small_where_it_cannot_be_told() -> None:
    one = np.array([[3.0, 4.0], [1.0, 0.0]], dtype=np.float32)
    assert difference(one, one) == 0
    assert difference(one, one * np.float32(1.01)) == pytest.approx(0.01, rel=0.02)
    assert difference(one, one[:, :1]) == np.inf
    assert difference(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)) == 0
    assert not difference(one * np.float32("nan"), one) <= 1


def _auc(report: Path) -> float:
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    return float(audit["result"]["evaluation"]["auc"]["value"])


def test_answers_that_drift_while_they_are_asked_are_no_leak(
    latentprint: Callable[..., Any], image_folders: tuple[Path, Path], tmp_path: Path, cluster: None
) -> None:
    stranger = Stranger(1, drift=1e-4)
    command = ["audit", stranger.spec.url, "--members", image_folders[0], "--non-members", image_folders[1]]
    command += ["--side", _SIDE, "--attack", "supervisedmi", "--inference", "logistic", "--root", tmp_path]
    ended = latentprint(*command, "--untrained", "none", "--workers", 1)
    stranger.stop()
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert audit["result"]["evaluation"]["auc"]["interval"]["low"] < 0.5
    assert not audit["verdict"]["label"].startswith("leak")


def test_an_audit_again_of_another_model_stops_and_fresh_starts_anew(
    latentprint: Callable[..., Any],
    stranger: Stranger,
    image_folders: tuple[Path, Path],
    tmp_path: Path,
    cluster: None,
) -> None:
    members, non_members = image_folders
    command = ["audit", stranger.spec.url, "--members", members, "--non-members", non_members, "--side", _SIDE]
    command += ["--attack", "supervisedmi", "--root", tmp_path, "--untrained", "none", "--workers", 1]
    first = latentprint(*command)
    assert first.code == 0, first.err
    assert "90 images to ask, and 12 canaries" in first.err
    report = Path(first.out.strip().splitlines()[-1])
    before = _auc(report)
    assert re.search(r"First answer</dt><dd>20\d\d-\d\d-\d\d \d\d:\d\d\sUTC", report.read_text())

    stranger.restart(seed=5)
    asked = stranger.answered
    second = latentprint(*command)
    assert second.code == 4
    assert "serves another model" in second.err
    assert "--fresh" in second.err
    assert stranger.answered - asked == 8

    fresh = latentprint(*command, "--fresh")
    assert fresh.code == 0, fresh.err
    old, report = report, Path(fresh.out.strip().splitlines()[-1])
    assert _auc(old) == before
    assert stranger.answered - asked == 8 + 90 + 12
    assert _auc(report) != before
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert (audit["queries"]["answered"], audit["queries"]["cached"], audit["queries"]["canaries"]) == (90, 0, 12)
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("audit")
    runs = client.search_runs([experiment.experiment_id], "tags.`latentprint.kind` = 'audit'")
    assert {run.data.metrics["auc"] for run in runs} == {before, _auc(report)}

    again = latentprint(*command)
    assert again.code == 0, again.err
    assert "0 images to ask, and 4 canaries" in again.err
    assert stranger.answered - asked == 8 + 90 + 12 + 4
