import pickle
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from latentprint.attack_engine.asking import EndpointSpec, MeteredEndpoint
from latentprint.attack_engine.asking.signal import Signal, SignalBatch
from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.evidence.energies import (
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.attack_engine.signals.views import EncoderMISignal, VarianceSignal
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.views.augmentations import PRESETS
from latentprint.core.views.part_crops import draw_part_crops, part_crops

SIGNALS = [
    *dict.fromkeys(
        signal
        for entry in ATTACKS
        for signal in AttackChoice(entry.name).build(0).signals
        if "embedding" in signal.outputs
    ),
    PlainAnswer("embedding"),
    PartCropSignal(crops=8, parts="adaptive"),
    PartCropSignal(crops=8, feature_map="tiles"),
    PartCropSignal(crops=8, fresh=3),
]


def features(signal: Signal, batch: SignalBatch, queries: int | None = None) -> np.ndarray:
    """Features of a signal's only draw, [S, F]."""
    drawn = signal.features(batch.values, queries)
    assert drawn is not None
    assert drawn.shape[:2] == (len(batch.values), 1)
    return drawn[:, 0]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> MeteredEndpoint:
    folder = tmp_path_factory.mktemp("bundles") / "victim"
    architectures.register()
    model = timm.create_model("resnet18_cifar_narrow", num_classes=0)
    card = BundleCard("untrained", ("embedding", "feature_map"), 32, (0.5,) * 3, (0.25,) * 3)
    save_bundle(model, folder, card, {"num_classes": 0})
    with EndpointSpec(f"local:{folder}", threads=1).open() as opened:
        yield opened


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([5, 17, 2, 99])
    return DatasetSpec("composites", {"count": 100}).open().images(ids), ids


@pytest.mark.parametrize("signal", SIGNALS, ids=repr)
def test_a_sample_s_signal_never_depends_on_its_batch(
    signal: Signal, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    images, ids = samples
    together = signal.extract(images, ids, endpoint)
    for order in ([3, 1, 0, 2], [2]):
        apart = signal.extract(images[order], ids[order], endpoint)
        np.testing.assert_allclose(apart.values, together.values[order], rtol=1e-4, atol=1e-5)
        for name, values in apart.diagnostics.items():
            np.testing.assert_allclose(values, together.diagnostics[name][order], atol=1e-5)


@pytest.mark.parametrize("signal", SIGNALS, ids=repr)
def test_a_signal_asks_as_many_images_as_it_says(
    signal: Signal, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    images, ids = samples
    before = endpoint.counts.answered + endpoint.counts.cached  # crops that are alike are asked once
    signal.extract(images, ids, endpoint)
    asked = endpoint.counts.answered + endpoint.counts.cached - before
    assert asked == len(ids) * signal.queries_per_sample((32, 32))


@pytest.mark.parametrize("signal", SIGNALS, ids=repr)
def test_a_signal_travels_and_keeps_its_type(
    signal: Signal, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    images, ids = samples
    batch = pickle.loads(pickle.dumps(signal)).extract(images, ids, endpoint)
    assert batch.values.dtype == np.float32
    assert np.isfinite(batch.values).all()


def test_partcrop_is_the_energies_of_its_crops(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    images, ids = samples
    signal = PartCropSignal(crops=12, seed=4)
    parts = part_crops(torch.from_numpy(images), draw_part_crops(ids, (32, 32), crops=12, seed=4), 16).numpy()
    for row in range(len(ids)):
        queries = endpoint.query(parts[row], ("embedding",))["embedding"]
        locations = endpoint.query(images[row : row + 1], ("feature_map",))["feature_map"]
        response = log_responses(queries[None], locations)
        references = gaussian_references(12, locations.shape[1], np.random.default_rng(4))
        expected = [np.sort(e[0])[::-1] for e in (uniform_energy(response), gaussian_energy(response, references))]
        batch = signal.extract(images, ids, endpoint)
        np.testing.assert_allclose(features(signal, batch)[row], np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert batch.diagnostics["part_response"].shape == (4, 16)
    np.testing.assert_allclose(batch.diagnostics["part_response"].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("energies", ["uniform", "gaussian"])
def test_one_energy_is_a_half_of_both(
    energies: str, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    both = PartCropSignal(crops=6).extract(*samples, endpoint).values
    one = PartCropSignal(crops=6, energies=energies).extract(*samples, endpoint).values
    np.testing.assert_allclose(one, both[:, :6] if energies == "uniform" else both[:, 6:], rtol=1e-5)


def test_views_signals_have_the_sizes_of_the_papers(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    seven = EncoderMISignal(views=7)
    similarity = features(seven, seven.extract(*samples, endpoint))
    assert similarity.shape == (4, 21)
    assert (np.diff(similarity, axis=1) <= 0).all()
    assert np.abs(similarity).max() <= 1 + 1e-5
    variance = VarianceSignal().extract(*samples, endpoint).values
    assert variance.shape == (4, 128)
    assert variance.min() >= 0


def test_another_seed_draws_other_views(endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]) -> None:
    for kind in (PartCropSignal, EncoderMISignal, VarianceSignal):
        first, second = (kind(seed=seed).extract(*samples, endpoint).values for seed in (0, 1))
        assert not np.allclose(first, second)


def test_an_attack_passes_its_seed_on_unless_an_option_sets_one() -> None:
    assert AttackChoice("partcrop").build(7).signals[0] == PartCropSignal(seed=7)
    assert AttackChoice("partcrop", {"seed": 1}).build(7).signals[0] == PartCropSignal(seed=1)


@pytest.mark.parametrize(
    ("kind", "few", "queries"),
    [
        (PartCropSignal(crops=20), PartCropSignal(crops=5), 6),
        (PartCropSignal(crops=20, feature_map="tiles"), PartCropSignal(crops=5, feature_map="tiles"), 21),
        (EncoderMISignal(views=8), EncoderMISignal(views=3), 3),
    ],
)
def test_fewer_queries_come_from_the_same_extraction(
    kind: Signal, few: Signal, queries: int, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    many = kind.extract(*samples, endpoint)
    asked = few.extract(*samples, endpoint)
    if isinstance(kind, PartCropSignal):  # the Gaussian references are drawn for all crops at once
        few, kind = replace(few, energies="uniform"), replace(kind, energies="uniform")
        many, asked = kind.extract(*samples, endpoint), few.extract(*samples, endpoint)
    np.testing.assert_allclose(features(kind, many, queries), features(few, asked), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features(kind, many, kind.queries_per_sample((32, 32))), features(kind, many))
    assert kind.features(many.values, 1) is None
    assert kind.features(many.values, 1000) is None


def test_fresh_crops_are_further_draws_of_the_same_stream(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    fresh = PartCropSignal(crops=6, fresh=3)
    draws = fresh.features(fresh.extract(*samples, endpoint).values)
    assert draws is not None
    assert draws.shape == (4, 3, 12)
    one = PartCropSignal(crops=6)
    np.testing.assert_allclose(draws[:, 0], features(one, one.extract(*samples, endpoint)), rtol=1e-4, atol=1e-5)
    assert not np.allclose(draws[:, 0], draws[:, 1], rtol=1e-3)
    assert fresh.features(np.zeros((1, 36), np.float32), 4) is None


def test_a_combination_puts_features_side_by_side(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    attack = AttackChoice("partcrop+encodermi", {"partcrop": {"crops": 6, "fresh": 3}}).build(0)
    held = Evidence({signal.name: signal.extract(*samples, endpoint).values for signal in attack.signals})
    drawn = attack.features(held)
    assert drawn.shape == (4, 3, 12 + 45)
    np.testing.assert_array_equal(drawn[:, 0, 12:], drawn[:, 2, 12:])
    assert attack.reading.features_within(held, 5) is None


def test_tiles_ask_for_no_feature_map_and_keep_the_location_of_what_they_show(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    tiled = PartCropSignal(crops=4, feature_map="tiles", tile_grid=2, tile_overlap=0.0, side=16)
    assert tiled.outputs == ("embedding",)
    images = samples[0].copy()
    batch = tiled.extract(images, samples[1], endpoint)
    quarters = [images[:, top : top + 16, left : left + 16] for top in (0, 16) for left in (0, 16)]
    locations = np.stack([endpoint.query(q, ("embedding",))["embedding"] for q in quarters], axis=1)
    parts = part_crops(torch.from_numpy(images), draw_part_crops(samples[1], (32, 32), crops=4, seed=0), 16).numpy()
    queries = endpoint.query(parts.reshape(-1, 16, 16, 3), ("embedding",))["embedding"].reshape(4, 4, -1)
    expected = uniform_energy(log_responses(queries, locations))
    np.testing.assert_allclose(batch.values[:, :4], expected, rtol=1e-3, atol=1e-4)


def test_the_victims_own_augmentation_is_drawn_where_it_is_known(
    endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    attack = AttackChoice("encodermi", {"augmentation": "victim"}).build(0)
    with pytest.raises(UsageError, match="augmentation is not known here"):
        attack.signals[0].extract(*samples, endpoint)
    informed = attack.against(PRESETS["moco"]).signals[0].extract(*samples, endpoint)
    named = EncoderMISignal(augmentation="moco").extract(*samples, endpoint)
    np.testing.assert_array_equal(informed.values, named.values)
    generic = AttackChoice("encodermi").build(0)
    assert generic.against(PRESETS["moco"]) == generic


def test_the_three_encodermi_ask_the_same_queries() -> None:
    signals = {AttackChoice(name).build(3).signals for name in ("encodermi", "encodermi-s", "encodermi-t")}
    assert len(signals) == 1
