import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from numpy.typing import NDArray

from latentprint.attack_engine.asking import AnswerStore, Counts, EndpointSpec, LedgerSpec
from latentprint.core.bundles import open_bundle
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import METHODS, SERVICE, from_request, to_response

pytestmark = pytest.mark.slow


def _images(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_answers_are_the_encoders_at_any_size_and_in_order(served: Any) -> None:
    encoder, _ = open_bundle(served.bundle)
    with EndpointSpec(served.url, images_per_request=7, in_flight=3).open() as endpoint:
        assert endpoint.card.outputs == {"feature_map": (-1, 32), "embedding": (32,)}
        assert endpoint.card.image_side == 32
        assert endpoint.card.idempotent
        for side in (32, 16):
            images = _images(50, side, seed=side)
            answers = endpoint.query(images, ("embedding", "feature_map"))
            for name, value in encoder.answer(images, ("embedding", "feature_map")).items():
                np.testing.assert_allclose(answers[name], value, atol=1e-4)
        assert endpoint.counts == Counts(sent=100, answered=100)


def test_without_a_name_the_servers_one_model_answers(served: Any) -> None:
    with EndpointSpec(served.url.rpartition("/")[0]).open() as endpoint:
        assert endpoint.card.model == served.bundle.name
        assert endpoint.query(_images(2), ("embedding",))["embedding"].shape == (2, 32)


@pytest.fixture(scope="module")
def guarded(tiny_bundle: Path, serve_for_module: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The address of a server that wants a key and takes five images a message, and the key's file."""
    key = tmp_path_factory.mktemp("key") / "right"
    key.write_text("sesame\n")
    limit = str(3072 * 5 + 4096)
    return serve_for_module(tiny_bundle, "--api-key-file", str(key), "--max-message-bytes", limit).url, key


def test_the_same_weights_elsewhere_are_the_same_endpoint(served: Any, guarded: tuple[str, Path]) -> None:
    elsewhere = EndpointSpec(guarded[0], api_key_file=str(guarded[1]))
    with EndpointSpec(served.url).open() as here, elsewhere.open() as there:
        assert here.card.url != there.card.url
        assert here.card.identity == there.card.identity
    with EndpointSpec(f"local:{served.bundle}").open() as within:
        assert within.card.identity == here.card.identity


def test_the_same_weights_served_otherwise_share_no_answer(served: Any, serve: Any, tmp_path: Path) -> None:
    kept, images, answers = AnswerStore(tmp_path), _images(6), []
    rounded = serve(served.bundle, "--precision", "bf16")
    for url in (served.url, rounded.url):
        with EndpointSpec(url).open(kept=kept) as endpoint:
            answers.append(endpoint.query(images, ("embedding",))["embedding"])
            assert endpoint.counts == Counts(sent=6, answered=6)
    assert np.abs(answers[0] - answers[1]).max() > 0


def test_half_precision_answers_are_close_and_another_endpoint(served: Any) -> None:
    images = _images(9)
    with EndpointSpec(served.url).open() as full, EndpointSpec(served.url, precision="fp16").open() as half:
        assert full.card.identity != half.card.identity
        answer = half.query(images, ("embedding",))["embedding"]
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, full.query(images, ("embedding",))["embedding"], atol=5e-3)


def test_an_unknown_model_names_the_one_that_is_there(served: Any) -> None:
    with pytest.raises(EndpointError, match=r"does not serve 'tinny'.*tiny"):
        EndpointSpec(served.url.replace("/tiny", "/tinny")).open()


def test_an_unknown_output_names_the_nearest(served: Any) -> None:
    with EndpointSpec(served.url).open() as endpoint, pytest.raises(UsageError, match="Did you mean 'embedding'"):
        endpoint.query(_images(1), ("embeding",))


def test_keys(guarded: tuple[str, Path], tmp_path: Path) -> None:
    url, right = guarded
    wrong = tmp_path / "wrong"
    wrong.write_text("sesam\n")
    with EndpointSpec(url, api_key_file=str(right)).open() as endpoint:
        endpoint.query(_images(1), ("embedding",))
    with pytest.raises(EndpointError, match="refuses this API key"):
        EndpointSpec(url, api_key_file=str(wrong)).open()
    with pytest.raises(EndpointError, match="wants an API key"):
        EndpointSpec(url).open()
    with pytest.raises(UsageError, match="cannot be read"):
        EndpointSpec(url, api_key_file=str(tmp_path / "none")).open()


def test_a_small_message_limit_makes_smaller_requests(guarded: tuple[str, Path]) -> None:
    with EndpointSpec(guarded[0], api_key_file=str(guarded[1]), images_per_request=64).open() as endpoint:
        assert endpoint.query(_images(23), ("embedding",))["embedding"].shape == (23, 32)
        with pytest.raises(EndpointError, match="message limit"):
            endpoint.query(_images(1, side=128), ("embedding",))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_down() -> None:
    started = time.monotonic()
    with pytest.raises(EndpointError, match=r"does not answer.*start the server"):
        EndpointSpec(f"grpc://127.0.0.1:{_free_port()}/m", connect_seconds=1.0).open()
    assert time.monotonic() - started < 10


def test_an_http_server() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(EndpointError, match="not a gRPC server but an HTTP"):
            EndpointSpec(f"grpc://127.0.0.1:{server.server_port}/m", connect_seconds=1.0).open()
    finally:
        server.shutdown()
        server.server_close()


class _Elsewhere:
    """Another implementation's server: other names, floats with channels first, no properties."""

    def __init__(self) -> None:
        self.ready = True
        self.fail: Callable[[Any, Any], None] = lambda request, context: None
        self.sizes: list[int] = []

    def calls(self) -> dict[str, Callable[[Any, Any], Any]]:
        answer = {name: METHODS[name].response for name in METHODS}
        return {
            "ServerMetadata": lambda *_: answer["ServerMetadata"](name="triton", extensions=["statistics"]),
            "ServerReady": lambda *_: answer["ServerReady"](ready=True),
            "ModelReady": lambda *_: answer["ModelReady"](ready=self.ready),
            "ModelMetadata": lambda *_: self._metadata(answer["ModelMetadata"]()),
            "ModelInfer": self._infer,
        }

    def _metadata(self, response: Any) -> Any:
        response.name = "resnet"
        response.versions.append("3")
        response.inputs.add(name="INPUT__0", datatype="FP32", shape=[-1, 3, 32, 32])
        response.outputs.add(name="OUTPUT__0", datatype="FP32", shape=[-1, 2])
        return response

    def _infer(self, request: Any, context: Any) -> Any:
        (images,) = from_request(request).values()
        self.sizes.append(len(images))
        self.fail(request, context)
        assert request.inputs[0].name == "INPUT__0"
        assert images.shape[1:] == (3, 32, 32)
        rows = images.mean(axis=(2, 3))[:, :2]
        return to_response("resnet", {"OUTPUT__0": rows.astype(np.float32)}, request_id=request.id)


@contextmanager
def _grpc_server(
    calls: dict[str, Callable[[Any, Any], Any]],
    service: str = SERVICE,
    options: tuple[tuple[str, int], ...] = (),
    credentials: Any = None,
) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=METHODS[name].request.FromString,
            response_serializer=METHODS[name].response.SerializeToString,
        )
        for name, call in calls.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    yield f"grpc://127.0.0.1:{port}/resnet"
    server.stop(0).wait()


@pytest.fixture
def elsewhere() -> Iterator[tuple[_Elsewhere, EndpointSpec]]:
    other = _Elsewhere()
    with _grpc_server(other.calls()) as url:
        yield other, EndpointSpec(url, output_names={"embedding": "OUTPUT__0"}, images_per_request=8, in_flight=1)


def test_a_server_of_another_make(elsewhere: tuple[_Elsewhere, EndpointSpec]) -> None:
    images = _images(20)
    with elsewhere[1].open() as endpoint:
        assert endpoint.card.max_images == 256
        assert not endpoint.card.idempotent
        answer = endpoint.query(images, ("embedding",))["embedding"]
    np.testing.assert_allclose(answer, images.mean(axis=(1, 2))[:, :2] / 255, rtol=1e-4)
    assert elsewhere[0].sizes == [8, 8, 4]


def test_an_output_name_that_is_not_there(elsewhere: tuple[_Elsewhere, EndpointSpec]) -> None:
    with pytest.raises(EndpointError, match=r"no output 'OUT'.*OUTPUT__0"):
        replace(elsewhere[1], output_names={"embedding": "OUT"}).open()


def test_a_model_that_is_not_ready(elsewhere: tuple[_Elsewhere, EndpointSpec]) -> None:
    elsewhere[0].ready = False
    with pytest.raises(EndpointError, match="not ready"):
        replace(elsewhere[1], connect_seconds=0.5).open()


def test_another_grpc_service() -> None:
    with _grpc_server({}, "some.Other") as url, pytest.raises(EndpointError, match="not the Open Inference Protocol"):
        EndpointSpec(url).open()


def _times(count: int, abort: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    left = [count]

    def fail(_request: Any, context: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            abort(context)

    return fail


def _overloaded(context: Any) -> None:
    detail = AnyMessage()
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(100)
    detail.Pack(info)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    status = Status(code=code.value[0], message="busy", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "busy")


def _lost(code: grpc.StatusCode) -> Callable[[Any], None]:
    return lambda context: context.abort(code, "away")


@pytest.mark.parametrize("abort", [_overloaded, _lost(grpc.StatusCode.UNAVAILABLE), _lost(grpc.StatusCode.CANCELLED)])
def test_what_is_safe_is_asked_again_and_charged_as_it_may_have_been_answered(
    elsewhere: tuple[_Elsewhere, EndpointSpec], abort: Callable[[Any], None]
) -> None:
    other, spec = elsewhere
    other.fail = _times(2, abort)
    ledger = LedgerSpec(budget=24).open()
    with spec.open(ledger) as endpoint:
        endpoint.query(_images(8), ("embedding",))
        assert endpoint.counts == Counts(sent=8, answered=8, retried=16)
        assert ledger.spent == 24  # this server promises nothing about repeated ids
    assert other.sizes == [8, 8, 8]


def test_a_retry_beyond_the_budget_is_refused(elsewhere: tuple[_Elsewhere, EndpointSpec]) -> None:
    other, spec = elsewhere
    other.fail = _times(2, _lost(grpc.StatusCode.UNAVAILABLE))
    with spec.open(LedgerSpec(budget=8)) as endpoint, pytest.raises(Exception, match="0 of the budget of 8 are left"):
        endpoint.query(_images(8), ("embedding",))
    assert other.sizes == [8]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT.*no good"),
        (grpc.StatusCode.NOT_FOUND, "does not serve"),
        (grpc.StatusCode.UNAUTHENTICATED, "API key"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "refuses more"),
        (grpc.StatusCode.INTERNAL, "INTERNAL.*no good"),
    ],
)
def test_what_is_not_safe_is_asked_once(
    elsewhere: tuple[_Elsewhere, EndpointSpec], code: grpc.StatusCode, words: str
) -> None:
    other, spec = elsewhere
    other.fail = _times(9, lambda context: context.abort(code, "no good"))
    with spec.open() as endpoint, pytest.raises(EndpointError, match=words):
        endpoint.query(_images(8), ("embedding",))
    assert other.sizes == [8]


def test_a_message_that_another_server_finds_too_large() -> None:
    limit = ("grpc.max_receive_message_length", 100_000)  # and it does not publish it
    with _grpc_server(_Elsewhere().calls(), options=(limit,)) as url:
        spec = EndpointSpec(url, output_names={"embedding": "OUTPUT__0"})
        with (
            spec.open() as endpoint,
            pytest.raises(EndpointError, match=r"as one of 256 images.*fewer images"),
        ):
            endpoint.query(_images(256), ("embedding",))
        with replace(spec, images_per_request=8).open() as endpoint:
            assert endpoint.query(_images(16), ("embedding",))["embedding"].shape == (16, 2)


def test_a_request_out_of_time_is_asked_once_more_in_halves(elsewhere: tuple[_Elsewhere, EndpointSpec]) -> None:
    other, spec = elsewhere
    other.fail = lambda request, context: time.sleep(3) if request.inputs[0].shape[0] > 4 else None
    images = _images(8)
    with replace(spec, timeout_seconds=1.5).open() as endpoint:
        answer = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=8, answered=8, retried=8)
        np.testing.assert_allclose(answer, images.mean(axis=(1, 2))[:, :2] / 255, rtol=1e-4)
        other.fail = lambda request, context: time.sleep(3)
        with pytest.raises(EndpointError, match="did not answer 8 images in time"):
            endpoint.query(_images(8, seed=1), ("embedding",))
    assert other.sizes[:3] == [8, 4, 4]


_OVER_TLS = """
import sys
from latentprint.attack_engine.asking import EndpointSpec
with EndpointSpec(sys.argv[1]).open() as endpoint:
    print(endpoint.card.model)
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    with _grpc_server(_Elsewhere().calls(), credentials=credentials) as url:
        secure = url.replace("grpc://127.0.0.1", "grpcs://localhost")
        trusting = os.environ | {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate)}
        done = subprocess.run(
            [sys.executable, "-c", _OVER_TLS, secure], env=trusting, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "resnet"
        with pytest.raises(EndpointError):
            EndpointSpec(url, connect_seconds=0.5).open()


def test_a_restart_in_between_is_waited_for(tiny_bundle: Path, serve: Any) -> None:
    server = serve(tiny_bundle)
    with EndpointSpec(server.url, images_per_request=8).open() as endpoint:
        before = endpoint.query(_images(8), ("embedding",))["embedding"]
        server.kill()
        threading.Timer(1.0, server.start).start()
        after = endpoint.query(_images(8), ("embedding",))["embedding"]
        assert endpoint.counts.answered == 16
        assert endpoint.counts.retried >= 8
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_a_repeated_question_of_one_ledger_is_replayed_not_answered_again(
    tiny_bundle: Path, serve: Any, tmp_path: Path
) -> None:
    server, ledger = serve(tiny_bundle), LedgerSpec(tmp_path / "ledger.sqlite")
    for _ in range(2):
        with EndpointSpec(server.url).open(ledger) as endpoint:
            endpoint.query(_images(12), ("embedding",))
    assert (server.images("answered"), server.images("replayed")) == (12, 12)
    with EndpointSpec(server.url).open() as another:
        another.query(_images(12), ("embedding",))
    assert server.images("answered") == 24


@pytest.mark.parametrize(("asked", "rate"), [(5, 50.0), (None, 25.0)])  # also where one request would do
def test_no_more_images_a_second_than_allowed(asked: int | None, rate: float, served: Any) -> None:
    with EndpointSpec(served.url, images_per_request=asked, images_per_second=rate).open() as endpoint:
        started = time.monotonic()
        endpoint.query(_images(50, seed=3), ("embedding",))
        assert time.monotonic() - started >= 0.85
