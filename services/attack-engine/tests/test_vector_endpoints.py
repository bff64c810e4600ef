"""Endpoints that take vectors: in this process and behind a real server, asked, split and refused alike."""

import numpy as np
import pytest
import timm
import torch

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.drivers.metadata import InputTensor, read_input
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.requests import images_per_request
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.attack_engine.signals.views import EncoderMISignal
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import inference_pb2 as pb

EMBEDDING = PlainAnswer("embedding")
FEATURES = 40
BASKETS = DatasetSpec("baskets", {"count": 30, "features": FEATURES, "classes": 5})
DIGITS = DatasetSpec("digits", {"side": 32})
OUTPUTS = ("embedding", "posterior")


@pytest.fixture(scope="session")
def perceptron(tmp_path_factory):
    architectures.register()
    options = {"in_features": FEATURES, "hidden": 16, "num_classes": 5}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("mlp", **options)
    folder = tmp_path_factory.mktemp("bundles") / "perceptron"
    save_bundle(model, folder, BundleCard("untrained", OUTPUTS, None, (0.0,), (1.0,), features=FEATURES), options)
    return folder


@pytest.fixture
def vectors():
    return BASKETS.open().images(np.arange(30))


def test_a_served_perceptron_answers_as_the_local_one(serve, perceptron, vectors):
    expected = open_bundle(perceptron)[0].answer(vectors, OUTPUTS)
    served = serve(perceptron)
    with EndpointSpec(served.url, images_per_request=7).open() as remote:
        assert (remote.card.features, remote.card.image_side, remote.card.bytes_per_value) == (FEATURES, None, 4)
        answers = remote.query(vectors, OUTPUTS)
        assert remote.counts.answered == 30
        with pytest.raises(EndpointError, match="takes vectors of 40 features, not images"):
            remote.query(np.zeros((2, 8, 8, 3), np.uint8), OUTPUTS)
        with pytest.raises(EndpointError, match="takes vectors of 40 features, not vectors of 39"):
            remote.query(vectors[:, :39], OUTPUTS)
        assert remote.counts.sent == 30
    with EndpointSpec(f"local:{perceptron}").open() as local:
        assert (local.card.features, local.card.bytes_per_value) == (FEATURES, 4)
        near = local.query(vectors, OUTPUTS)
    for name in OUTPUTS:
        np.testing.assert_allclose(answers[name], expected[name], atol=1e-5)
        np.testing.assert_allclose(near[name], expected[name], atol=1e-5)
    assert served.images("answered") == 30


def test_vectors_for_an_endpoint_of_images_are_refused_before_anything_is_sent(tiny_bundle, vectors):
    with EndpointSpec(f"local:{tiny_bundle}").open() as endpoint:
        with pytest.raises(EndpointError, match="takes images, not vectors of 40 features"):
            endpoint.query(vectors, ("embedding",))
        assert endpoint.counts.sent == 0


@pytest.mark.parametrize(("limit", "expected"), [(4096 + 10 * 4 * FEATURES, 10), (2**31 - 1, 256)])
def test_requests_of_vectors_fit_the_limit_in_bytes(limit, expected):
    card = EndpointCard("u", "m", {"posterior": (5,)}, max_message_bytes=limit, bytes_per_value=4, features=FEATURES)
    assert images_per_request(card, (100, FEATURES), ("posterior",), None) == expected


def test_a_vector_larger_than_a_message_is_refused():
    card = EndpointCard("u", "m", {"posterior": (5,)}, max_message_bytes=4100, bytes_per_value=4, features=FEATURES)
    with pytest.raises(EndpointError, match="One vector of 40 and its answer need messages of 4256 bytes"):
        images_per_request(card, (1, FEATURES), ("posterior",), None)


def test_a_plan_counts_vectors_by_their_bytes(perceptron, tmp_path):
    wide = DatasetSpec("baskets", {"count": 30, "features": 400_000, "classes": 5})
    card = EndpointCard(
        "u", "m", {"embedding": (16,)}, max_message_bytes=2**31 - 1, bytes_per_value=4, features=400_000
    )
    spec = EndpointSpec(f"local:{perceptron}")
    (planned,) = plan_extraction([EMBEDDING], wide, np.arange(30), spec, tmp_path, card=card).signals
    assert (planned.batch, planned.queries) == (64 * 2**20 // (4 * 400_000), 1)


@pytest.mark.parametrize(
    ("signal", "dataset", "error", "words"),
    [
        (EMBEDDING, DIGITS, EndpointError, "takes vectors of 40 features, not images"),
        (
            EMBEDDING,
            DatasetSpec("baskets", {"count": 9, "features": 41}),
            EndpointError,
            "not vectors of 41",
        ),
        (EncoderMISignal(), BASKETS, UsageError, "'encodermi' asks about views of images"),
        (PartCropSignal(feature_map="tiles"), BASKETS, UsageError, "'partcrop' asks about views of images"),
    ],
)
def test_a_plan_refuses_samples_that_do_not_fit(signal, dataset, error, words, perceptron, tmp_path):
    with pytest.raises(error, match=words):
        plan_extraction([signal], dataset, np.arange(5), EndpointSpec(f"local:{perceptron}"), tmp_path)


@pytest.mark.parametrize("datatype", ["FP32", "FP16"])
def test_another_servers_table_model_is_taken(datatype):
    metadata = pb.ModelMetadataResponse(name="table")
    metadata.inputs.add(name="x", datatype=datatype, shape=[-1, 12])
    tensor = read_input("u", metadata)
    assert tensor == InputTensor("x", datatype, features=12)
    assert tensor.tensor(np.ones((2, 12), np.float32)).dtype == {"FP32": np.float32, "FP16": np.float16}[datatype]


@pytest.mark.parametrize(("datatype", "shape"), [("UINT8", [-1, 12]), ("FP32", [-1, -1]), ("FP32", [-1, 3, 4])])
def test_other_inputs_are_refused(datatype, shape):
    metadata = pb.ModelMetadataResponse(name="table")
    metadata.inputs.add(name="x", datatype=datatype, shape=shape)
    with pytest.raises(EndpointError, match=r"and vectors as FP32, FP16, FP64 of \[B, F\]"):
        read_input("u", metadata)
