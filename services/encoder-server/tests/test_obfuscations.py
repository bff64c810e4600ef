"""What a thief does to answers: each obfuscation against its definition, over the wire, in digest and card."""

from itertools import pairwise

import numpy as np
import pytest

from latentprint.core.errors import UsageError
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.oip import inference_pb2 as pb
from latentprint.encoder_server.metadata import model_metadata
from latentprint.encoder_server.obfuscations import obfuscated
from latentprint.encoder_server.settings import Compute, Obfuscation, Settings
from latentprint.encoder_server.victims import Victim

OUTPUTS = ("embedding", "feature_map", "posterior")
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def of(*steps: str, seed: int = 0) -> Obfuscation:
    return Obfuscation(tuple(map(ObfuscationStep.parse, steps)), seed)


def answers(victim: Victim, *steps: str, seed: int = 0) -> dict[str, np.ndarray]:
    return obfuscated(victim, of(*steps, seed=seed)).encoder.answer(IMAGES, OUTPUTS)


def published(victim: Victim, settings: Settings) -> dict[str, str]:
    shown = obfuscated(victim, settings.obfuscation)
    return dict(model_metadata(shown, shown.encoder.shapes((32, 32, 3)), settings).latentprint_properties)


@pytest.fixture
def plain(victim: Victim) -> dict[str, np.ndarray]:
    return victim.encoder.answer(IMAGES, OUTPUTS)


def test_a_permutation_moves_the_coordinates_of_all_outputs_alike(victim: Victim, plain: dict) -> None:
    found = answers(victim, "permutation")
    order = [
        int(np.flatnonzero((plain["embedding"] == column[:, None]).all(axis=0))[0]) for column in found["embedding"].T
    ]
    assert sorted(order) == list(range(48))
    assert order != list(range(48))
    np.testing.assert_array_equal(found["feature_map"], plain["feature_map"][..., order])


def test_padding_appends_zeros(victim: Victim, plain: dict) -> None:
    found = answers(victim, "padding=5")
    assert found["feature_map"].shape[-1] == 53
    np.testing.assert_array_equal(found["embedding"][:, :48], plain["embedding"])
    assert not found["embedding"][:, 48:].any()


def test_a_linear_map_can_be_taken_back(victim: Victim, plain: dict) -> None:
    found = answers(victim, "linear")
    tokens, mapped = (one["feature_map"].reshape(-1, 48) for one in (plain, found))
    back = np.linalg.lstsq(mapped, tokens, rcond=None)[0]
    stretches = np.linalg.svd(np.linalg.inv(back.astype(np.float64)), compute_uv=False)
    assert 0.45 < stretches.min() < 0.8
    assert 1.25 < stretches.max() < 2.2
    np.testing.assert_allclose(found["embedding"] @ back, plain["embedding"], atol=1e-2)
    assert np.abs(found["embedding"] - plain["embedding"]).max() > 0.1


def test_rounding_leaves_so_many_decimals(victim: Victim, plain: dict) -> None:
    np.testing.assert_allclose(answers(victim, "rounding=1")["embedding"], plain["embedding"].round(1), atol=1e-6)


def test_steps_apply_in_order_and_the_posterior_stays(victim: Victim, plain: dict) -> None:
    found = answers(victim, "padding=3", "permutation", "rounding=0")
    assert found["embedding"].shape == (6, 51)
    assert (np.abs(found["embedding"]).max(axis=0) == 0).sum() >= 3
    np.testing.assert_array_equal(found["posterior"], plain["posterior"])
    assert obfuscated(victim, of()) is victim


def test_the_seed_decides(victim: Victim) -> None:
    first, again, other = (answers(victim, "linear", seed=seed)["embedding"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_digest_and_card_tell_obfuscations_apart_and_plain_servings_say_nothing(victim: Victim) -> None:
    kinds = [of(), of("permutation"), of("permutation", seed=1), of("rounding=2"), of("rounding=3")]
    found = [published(victim, Settings(compute=Compute(threads=1), obfuscation=kind)) for kind in kinds]
    assert len({one["serving_digest"] for one in found}) == len(kinds)
    assert len({one["weights_digest"] for one in found}) == 1
    assert [one.get("obfuscation") for one in found] == [None, "permutation", "permutation", "rounding=2", "rounding=3"]
    assert all(one != other for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("permute", "Unknown obfuscation"),
        ("linear=2", "linear takes no amount"),
        ("padding=-1", "a whole number from 0 to 4096"),
        ("rounding=two", "a whole number from 0 to 4096"),
    ],
)
def test_what_is_no_obfuscation_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ObfuscationStep.parse(text)
    with pytest.raises(UsageError, match="--obfuscate-seed"):
        Obfuscation(seed=-1)


async def test_answers_over_the_wire_are_obfuscated_in_the_shape_that_is_announced(serve, plain: dict) -> None:
    running = await serve(obfuscation=of("padding=4", "rounding=2"))
    metadata = await running.call("ModelMetadata", pb.ModelMetadataRequest(name="victim"))
    shapes = {output.name: list(output.shape) for output in metadata.outputs}
    assert shapes["embedding"] == [-1, 52]
    assert metadata.latentprint_properties["obfuscation"] == "padding=4,rounding=2"
    found = (await running.infer(IMAGES))["embedding"]
    np.testing.assert_allclose(found[:, :48], plain["embedding"].round(2), atol=2e-2)
    assert found.shape == (6, 52)
