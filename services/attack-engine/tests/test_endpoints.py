import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from latentprint.attack_engine.asking import AnswerStore, Counts, EndpointSpec, LedgerSpec
from latentprint.attack_engine.asking.answer_store import sample_digests
from latentprint.attack_engine.asking.drivers import DRIVERS, driver_of
from latentprint.attack_engine.asking.drivers.driver import DriverError
from latentprint.attack_engine.asking.drivers.grpc import GrpcAddress, parse_address
from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.attack_engine.asking.metered import MeteredEndpoint
from latentprint.attack_engine.asking.requests import images_per_request, request_id, split
from latentprint.core.bundles import open_bundle
from latentprint.core.errors import BudgetError, DataError, EndpointError, UsageError
from latentprint.core.oip import SERVICE


def _images(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_addresses() -> None:
    assert parse_address("grpc://host:8500") == GrpcAddress("host:8500")
    assert parse_address("grpc://host:8500/moco") == GrpcAddress("host:8500", "moco")
    assert parse_address("grpcs://[::1]:1/m") == GrpcAddress("[::1]:1", "m", secure=True)


def test_the_scheme_of_an_address_says_which_driver_asks_it() -> None:
    for url in ("grpc://host:8500", "grpcs://host:8500", "local:a/b"):
        assert driver_of(url) is DRIVERS.get(url.partition(":")[0])


@pytest.mark.parametrize("scheme", DRIVERS.names())
def test_every_driver_keeps_the_contract(scheme: str) -> None:
    driver = DRIVERS.get(scheme)
    assert driver.form.startswith(f"{scheme}:")
    assert isinstance(driver.in_process, bool)
    for member in ("open", "read_card", "ask", "close", "in_flight", "interruptions"):
        assert hasattr(driver, member)
    with pytest.raises(UsageError):
        driver.check_address(f"{scheme}:")


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        EndpointSpec("ftp://host:21/model")
    for entry in DRIVERS:
        assert entry.value.form in str(error.value)


@pytest.mark.parametrize("url", ["host:8500", "http://host:1", "grpc://host", "grpc://:1", "local:", "grpc://h:0", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        EndpointSpec(url)


def test_a_spec_travels() -> None:
    spec = EndpointSpec("grpc://h:1/m", images_per_request=7, output_names={"embedding": "out"})
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(UsageError, match="in_flight"):
        EndpointSpec("grpc://h:1", in_flight=0)


def test_another_address_is_asked_alike() -> None:
    spec = EndpointSpec(
        "grpc://h:1/m",
        api_key_file="key",
        timeout_seconds=7.0,
        total_seconds=9.0,
        in_flight=2,
        images_per_request=5,
        images_per_second=3.0,
        service="their.Service",
        output_names={"embedding": "out"},
    )
    assert spec.like("grpcs://other:2/twin") == replace(spec, url="grpcs://other:2/twin")
    plain = {"api_key_file": None, "service": SERVICE, "output_names": {}}
    assert spec.like("grpc://127.0.0.1:2", ours=True) == replace(spec, url="grpc://127.0.0.1:2", **plain)
    assert spec.like("local:bundle") == replace(spec, url="local:bundle", **plain)


def test_in_process_answers_are_the_encoders(tiny_bundle: Path) -> None:
    encoder, _ = open_bundle(tiny_bundle)
    images = _images(70)
    expected = encoder.answer(images, ("embedding", "feature_map"))
    with EndpointSpec(f"local:{tiny_bundle}", images_per_request=32).open() as endpoint:
        assert endpoint.card.outputs == {"embedding": (32,), "feature_map": (16, 32)}
        answers = endpoint.query(images, ("embedding", "feature_map"))
        assert endpoint.counts == Counts(sent=70, answered=70)
    for name, value in expected.items():
        np.testing.assert_allclose(answers[name], value, atol=1e-5)


def test_kept_answers_are_bit_for_bit_and_free(tiny_bundle: Path, tmp_path: Path) -> None:
    spec, kept, images = EndpointSpec(f"local:{tiny_bundle}", images_per_request=8), AnswerStore(tmp_path), _images(20)
    with spec.open(LedgerSpec(budget=20), kept=kept) as endpoint:
        first = endpoint.query(images, ("embedding",))["embedding"]
        assert kept.answers() == 20
        again = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=20, answered=20, cached=20)
        with pytest.raises(BudgetError):
            endpoint.query(images, ("feature_map",))
    assert first.tobytes() == again.tobytes()


def test_a_damaged_kept_answer_is_asked_again(tiny_bundle: Path, tmp_path: Path) -> None:
    kept, images = AnswerStore(tmp_path), _images(4)
    with EndpointSpec(f"local:{tiny_bundle}").open(kept=kept) as endpoint:
        first = endpoint.query(images, ("embedding",))["embedding"]
        (path,) = tmp_path.glob("*.answers")
        path.write_bytes(path.read_bytes()[:40])
        again = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=8, answered=8)
    np.testing.assert_array_equal(first, again)


def test_equal_samples_of_one_query_are_asked_once(tiny_bundle: Path) -> None:
    images = np.repeat(_images(1), 6, axis=0)
    with EndpointSpec(f"local:{tiny_bundle}", images_per_request=2).open() as endpoint:
        answers = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=1, answered=1, cached=5)
    np.testing.assert_array_equal(answers[:2], answers[4:])


def test_an_unknown_output_names_the_nearest(tiny_bundle: Path) -> None:
    with EndpointSpec(f"local:{tiny_bundle}").open() as endpoint, pytest.raises(UsageError, match="'embedding'"):
        endpoint.query(_images(1), ("embeding",))


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such bundle"):
        EndpointSpec(f"local:{tmp_path / 'none'}").open()


def _card(**fields: object) -> EndpointCard:
    return EndpointCard("grpc://h:1", "m", {"embedding": (8,), "feature_map": (-1, 8)}, **fields)


def test_requests_keep_to_every_limit() -> None:
    shape, asked = (1, 32, 32, 3), ("embedding",)
    assert images_per_request(_card(preferred_images=100), shape, asked, None) == 100
    assert images_per_request(_card(max_images=50), shape, asked, 80) == 50
    assert images_per_request(_card(max_message_bytes=4096 + 3072 * 7), shape, asked, None) == 7
    with pytest.raises(EndpointError, match="message limit"):
        images_per_request(_card(max_message_bytes=5000), shape, asked, None)


def _request(images: NDArray[np.uint8], output: str = "embedding", **fields: object) -> str:
    return request_id(_card(**fields), sample_digests(images), (output,))


def test_request_ids_are_of_content_outputs_and_endpoint() -> None:
    images = _images(5)
    assert _request(images) == _request(images.copy())
    others = [images[:2], images[2:4], images[::-1], images.transpose(0, 2, 1, 3)]
    ids = [
        _request(images),
        _request(images, "feature_map"),
        _request(images, serving_digest="s"),
        *map(_request, others),
    ]
    assert len(set(ids)) == len(ids)


def test_what_a_killed_run_left_is_asked_in_the_very_requests_again() -> None:
    """Whole requests are kept or missing after a kill; of others what is missing is put together anew."""
    rows, kept = np.arange(10), np.zeros(10, dtype=bool)
    whole = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert [group.tolist() for group in split(rows, kept, 3)[0]] == whole
    kept[3:6] = True
    missing, there = split(rows, kept, 3)
    assert ([g.tolist() for g in missing], [g.tolist() for g in there]) == ([whole[0], *whole[2:]], [whole[1]])
    kept[[0, 7]] = True
    missing, there = split(rows, kept, 3)
    assert [group.tolist() for group in missing] == [[9], [1, 2, 6], [8]]
    assert [group.tolist() for group in there] == [[0], [3, 4, 5], [7]]


def test_an_identity_is_the_serving_digest_or_else_address_version_and_what_is_published() -> None:
    def identity(url: str = "grpc://h:1", **fields: object) -> str:
        return replace(_card(**fields), url=url).identity

    assert identity(serving_digest="s") == identity("grpc://h:2", serving_digest="s")
    assert identity(serving_digest="s") == identity(serving_digest="s", properties={"versions": "2"})
    others = [
        identity(),
        identity("grpc://h:2"),
        identity(weights_digest="w"),
        identity(weights_digest="v"),
        identity("grpc://h:2", weights_digest="w"),
        identity(properties={"versions": "2"}),
        identity(properties={"precision": "bf16"}),
        identity(precision="fp16"),
        identity(output_names={"embedding": "pooled"}),
        identity(serving_digest="s", weights_digest="w"),
        identity(serving_digest="t", weights_digest="w"),
        identity(serving_digest="s", output_names={"embedding": "pooled"}),
    ]
    assert len(set(others)) == len(others)


class _Broken:
    """A driver whose answers are not usable."""

    in_flight = 1

    form, in_process = "broken:", False
    interruptions = 0

    def __init__(self, row: float, rows: int | None = None) -> None:
        self._row, self._rows = row, rows

    def ask(self, images: NDArray[np.uint8], *_: object) -> Answers:
        answer = np.ones((self._rows or len(images), 8), dtype=np.float32)
        answer[-1] = self._row
        return {"embedding": answer}

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (_Broken(0.0), "0 non-finite and 1 all-zero"),
        (_Broken(np.nan), "1 non-finite"),
        (_Broken(1.0, rows=2), "2 rows of 'embedding' for 3 images"),
    ],
)
def test_unusable_vectors_are_refused_and_not_kept(driver: _Broken, words: str, tmp_path: Path) -> None:
    kept = AnswerStore(tmp_path)
    with MeteredEndpoint(driver, _card(), LedgerSpec().open(), kept=kept) as endpoint:
        with pytest.raises(EndpointError, match=words):
            endpoint.query(_images(3), ("embedding",))
        assert kept.answers() == 0


class _Failing:
    """A driver that fails as it is told to, once for each entry of `failures`, and then answers."""

    in_flight, interruptions = 1, 0

    def __init__(self, *failures: DriverError) -> None:
        self._failures = list(failures)
        self.asked: list[int] = []

    def ask(self, samples: NDArray[np.uint8], *_: object) -> Answers:
        self.asked.append(len(samples))
        if self._failures:
            raise self._failures.pop(0)
        return {"embedding": samples[:, 0, 0, :1].astype(np.float32) + 1}

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (DriverError("away", repeat=True), [6, 6]),
        (DriverError("busy", repeat=True, delay=0.01), [6, 6]),
        (DriverError("late", out_of_time=True), [6, 3, 3]),
    ],
)
def test_any_drivers_failures_are_mended_outside_it(failure: DriverError, asked: list[int]) -> None:
    driver, images = _Failing(failure), _images(6)
    with MeteredEndpoint(driver, _card(), LedgerSpec().open()) as endpoint:
        answer = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=6, answered=6, retried=6)
    assert driver.asked == asked
    np.testing.assert_array_equal(answer[:, 0], images[:, 0, 0, 0].astype(np.float32) + 1)


def test_a_failure_for_good_is_asked_once() -> None:
    driver = _Failing(DriverError("no"))
    with MeteredEndpoint(driver, _card(), LedgerSpec().open()) as endpoint, pytest.raises(EndpointError, match="no"):
        endpoint.query(_images(6), ("embedding",))
    assert driver.asked == [6]


def test_images_outside_the_published_sides_are_refused() -> None:
    card = _card(min_side=16, max_side=64)
    card.check_sample((16, 64, 3))
    with pytest.raises(EndpointError, match="16 to 64"):
        card.check_sample((8, 32, 3))


_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from latentprint.attack_engine.asking import AnswerStore
from latentprint.core.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store = AnswerStore(Path(sys.argv[1]))
keys = np.array([b"a" * 16, b"b" * 16])
store.write({"embedding": (keys[:1], np.ones((1, 2), dtype=np.float32))})
try:
    store.write({"embedding": (keys[1:], np.ones((1, 2000), dtype=np.float32))})
except DataError as error:
    print(error)
print([places.tolist() for places, _, _ in store.read(keys)])
"""


def test_no_room_to_write_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "Cannot write" in done.stdout
    assert "run the same command again" in done.stdout
    assert done.stdout.splitlines()[-1] == "[[0]]"
    (log,) = tmp_path.iterdir()
    assert log.stat().st_size < 100
