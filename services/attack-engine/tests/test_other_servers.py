"""Endpoints of other makes over a real connection: how they write answers, and which sizes and batches they take."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from latentprint.attack_engine.asking import Counts, EndpointSpec, LedgerSpec
from latentprint.attack_engine.asking.plan import check_sizes, plan_extraction
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import METHODS, SERVICE, from_request
from latentprint.core.oip import inference_pb2 as pb

Answer = Callable[[pb.ModelInferResponse, NDArray[Any]], None]


def _images(count: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def _embeddings(images: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of each channel and of its square, of images [B, 3, H, W] in [0, 1]."""
    wide = images.astype(np.float64)
    return np.concatenate([wide.mean(axis=(2, 3)), (wide**2).mean(axis=(2, 3))], axis=1)


def _expected(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return _embeddings(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)


@dataclass
class _Other:
    """Another implementation's server of one encoder; `answer` writes its embeddings [B, 6] into the response."""

    answer: Answer
    shape: tuple[int, ...] = (-1, 3, -1, -1)
    datatype: str = "FP32"
    sizes: list[tuple[int, ...]] = field(default_factory=list)

    def metadata(self, _request: Any, _context: Any) -> pb.ModelMetadataResponse:
        response = pb.ModelMetadataResponse(name="encoder")
        response.inputs.add(name="x", datatype=self.datatype, shape=self.shape)
        response.outputs.add(name="label", datatype="BYTES", shape=[-1, 1])
        response.outputs.add(name="pooled", datatype="FP32", shape=[-1, 6])
        response.properties["content_type"] = pb.InferParameter(string_param="n" * 300).SerializeToString()
        return response

    def infer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        (images,) = from_request(request).values()
        self.sizes.append(images.shape)
        if any(want not in (-1, got) for want, got in zip(self.shape, images.shape, strict=True)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"shape {images.shape} is not {self.shape}")
        response = pb.ModelInferResponse(model_name="encoder", id=request.id)
        self.answer(response, _embeddings(images))
        return response


def _typed(response: pb.ModelInferResponse, rows: NDArray[Any]) -> None:
    tensor = response.outputs.add(name="pooled", datatype="FP32", shape=rows.shape)
    tensor.contents.fp32_contents.extend(rows.ravel().tolist())


def _typed_double_beside_bytes(response: pb.ModelInferResponse, rows: NDArray[Any]) -> None:
    label = response.outputs.add(name="label", datatype="BYTES", shape=[len(rows), 1])
    label.contents.bytes_contents.extend([b"cat"] * len(rows))
    tensor = response.outputs.add(name="pooled", datatype="FP64", shape=rows.shape)
    tensor.contents.fp64_contents.extend(rows.ravel().tolist())


def _raw(response: pb.ModelInferResponse, rows: NDArray[Any], datatype: str, content: bytes) -> None:
    response.outputs.add(name="label", datatype="BYTES", shape=[len(rows), 1]).contents.SetInParent()
    response.raw_output_contents.append(b"\x03\x00\x00\x00cat" * len(rows))
    response.outputs.add(name="pooled", datatype=datatype, shape=rows.shape).contents.SetInParent()
    response.raw_output_contents.append(content)


def _raw_double(response: pb.ModelInferResponse, rows: NDArray[Any]) -> None:
    _raw(response, rows, "FP64", rows.astype("<f8").tobytes())


def _raw_half(response: pb.ModelInferResponse, rows: NDArray[Any]) -> None:
    _raw(response, rows, "FP16", rows.astype("<f2").tobytes())


def _raw_brain(response: pb.ModelInferResponse, rows: NDArray[Any]) -> None:
    _raw(response, rows, "BF16", (rows.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes())


@contextmanager
def _served(other: _Other) -> Iterator[EndpointSpec]:
    calls = {
        "ServerMetadata": lambda *_: pb.ServerMetadataResponse(name="another"),
        "ServerReady": lambda *_: pb.ServerReadyResponse(ready=True),
        "ModelReady": lambda *_: pb.ModelReadyResponse(ready=True),
        "ModelMetadata": other.metadata,
        "ModelInfer": other.infer,
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            call, METHODS[name].request.FromString, METHODS[name].response.SerializeToString
        )
        for name, call in calls.items()
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield EndpointSpec(f"grpc://127.0.0.1:{port}/encoder", output_names={"embedding": "pooled"}, in_flight=1)
    server.stop(0).wait()


@pytest.mark.parametrize(
    ("answer", "tolerance"),
    [
        (_typed, 1e-6),
        (_typed_double_beside_bytes, 1e-6),
        (_raw_double, 1e-6),
        (_raw_half, 1e-3),
        (_raw_brain, 1e-2),
    ],
)
def test_answers_are_read_however_they_are_written(answer: Answer, tolerance: float) -> None:
    images = _images(5)
    with _served(_Other(answer)) as spec, spec.open() as endpoint:
        found = endpoint.query(images, ("embedding",))["embedding"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _expected(images), rtol=tolerance)


def test_an_output_of_text_that_is_asked_for_ends_in_one_sentence() -> None:
    with _served(_Other(_raw_double)) as spec:
        named = replace(spec, output_names={"embedding": "label"})
        with named.open() as endpoint, pytest.raises(EndpointError, match="'label' has datatype 'BYTES': known are"):
            endpoint.query(_images(1), ("embedding",))


def test_a_double_that_no_float32_holds_is_not_finite() -> None:
    with (
        _served(_Other(lambda response, rows: _raw_double(response, rows + 1e300))) as spec,
        spec.open() as endpoint,
        pytest.raises(EndpointError, match="3 non-finite"),
    ):
        endpoint.query(_images(3), ("embedding",))


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64"])
@pytest.mark.parametrize(
    ("shape", "sizes", "sent"),
    [
        ((1, 3, 32, 32), [1] * 5, 5),
        ((4, 3, 32, 32), [4, 4], 8),
        ((-1, 3, 32, 32), [5], 5),
    ],
)
def test_the_shape_in_the_metadata_is_kept_to(
    shape: tuple[int, ...], sizes: list[int], sent: int, datatype: str
) -> None:
    images, other = _images(5), _Other(_typed, shape, datatype)
    with _served(other) as spec, LedgerSpec(budget=sent).open() as ledger, spec.open(ledger) as endpoint:
        assert (endpoint.card.image_side, endpoint.card.min_side, endpoint.card.max_side) == (32, 32, 32)
        found = endpoint.query(images, ("embedding",))["embedding"]
        assert endpoint.counts == Counts(sent=sent, answered=5)
        assert ledger.spent == sent
    np.testing.assert_allclose(found, _expected(images), rtol=1e-3)
    assert other.sizes == [(size, 3, 32, 32) for size in sizes]


def test_a_plan_counts_what_fills_up_the_batches(tmp_path: Path) -> None:
    signal = AttackChoice("partcrop", {"crops": 6, "side": 32, "feature_map": "tiles", "tile_grid": 2}).build(0).signals
    data = DatasetSpec("composites", {"count": 7})
    with _served(_Other(_typed, (4, 3, 32, 32))) as spec:
        plan = plan_extraction(signal, data, np.arange(7), spec, tmp_path, budget=1000, shard_size=3)
        worker = ShardWorker([plan])
        for task in tasks_of([plan]):
            worker.run(task)
        worker.close()
        with plan.ledger.open() as ledger:
            spent = ledger.spent
    assert plan.check is not None
    assert spent == plan.pending + plan.canaries - plan.check.first_images  # which extract asks, before any shard
    # Shards of 3, 3 and 1: 12, 12 and 4 tiles, and 18, 18 and 6 parts, each in full batches of 4.
    assert plan.pending == 12 + 12 + 4 + 20 + 20 + 8
    assert plan.check.first_images == 4 + 4 * 4


@pytest.mark.parametrize(
    ("attack", "options", "side", "words"),
    [
        (
            "partcrop",
            {"feature_map": "tiles"},
            32,
            r"of 32x32 pixels alone, not 16x16.*--attack-option partcrop.side=32",
        ),
        ("encodermi", {}, 48, r"of 32x32 pixels alone, not 48x48.*bring the images to that with --side 32"),
    ],
)
def test_a_size_that_is_not_taken_is_told_before_anything_is_planned(
    attack: str, options: dict[str, Any], side: int, words: str, tmp_path: Path
) -> None:
    other, data = _Other(_typed, (1, 3, 32, 32)), DatasetSpec("composites", {"count": 4, "side": side})
    with _served(other) as spec, pytest.raises(EndpointError, match=words):
        plan_extraction(AttackChoice(attack, options).build(0).signals, data, np.arange(4), spec, tmp_path)
    assert other.sizes == []
    assert not list(tmp_path.iterdir())


def test_an_output_under_another_name_is_told_with_the_option_that_names_it(tmp_path: Path) -> None:
    data, signals = DatasetSpec("composites", {"count": 4}), AttackChoice("partcrop").build(0).signals
    with _served(_Other(_typed)) as spec:
        plain = replace(spec, output_names={})
        with pytest.raises(UsageError, match=r"no feature_map.*--output-name feature_map=NAME"):
            plan_extraction(signals, data, np.arange(4), plain, tmp_path)
        with (
            plain.open() as endpoint,
            pytest.raises(UsageError, match=r"Known: label \[1\], pooled \[6\].*embedding=NAME"),
        ):
            endpoint.query(_images(1), ("embedding",))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((-1, 4, 32, 32), "sends RGB images"), ((), "sends RGB images")],
)
def test_shapes_that_are_no_rgb_images_are_refused(shape: tuple[int, ...], words: str) -> None:
    with _served(_Other(_typed, shape)) as spec, pytest.raises(EndpointError, match=words):
        spec.open()


def test_images_that_are_not_square_are_sent_as_they_are_and_others_refused_with_the_size_that_is_taken() -> None:
    images, other = _images(3)[:, :, :24], _Other(_typed, (-1, 3, 32, 24))
    with _served(other) as spec, spec.open() as endpoint:
        assert (endpoint.card.image_side, endpoint.card.min_side, endpoint.card.max_side) == ((32, 24),) * 3
        np.testing.assert_allclose(endpoint.query(images, ("embedding",))["embedding"], _expected(images), rtol=1e-3)
        with pytest.raises(EndpointError, match=r"takes images of 32x24 pixels alone, not 16x16: .*side=\[32,24\]"):
            check_sizes(endpoint.card, AttackChoice("partcrop").build(0).signals, (32, 24, 3))
    assert other.sizes == [(3, 3, 32, 24)]
