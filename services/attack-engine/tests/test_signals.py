import pickle

import numpy as np
import pytest
import timm

from leakscope.attack_engine.attacks import ATTACKS, AttackChoice
from leakscope.attack_engine.attacks.energies import (
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)
from leakscope.attack_engine.attacks.partcrop import PartCropSignal
from leakscope.attack_engine.attacks.signal import Signal
from leakscope.attack_engine.attacks.views import EncoderMISignal, VarianceSignal
from leakscope.attack_engine.endpoints import EndpointSpec, MeteredEndpoint
from leakscope.core import architectures
from leakscope.core.bundles import BundleCard, save_bundle
from leakscope.core.datasets import DatasetSpec
from leakscope.core.views.part_crops import draw_part_crops, part_crops

SIGNALS = [entry.value.signal() for entry in ATTACKS]


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


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
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


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_a_signal_asks_as_many_images_as_it_says(
    signal: Signal, endpoint: MeteredEndpoint, samples: tuple[np.ndarray, np.ndarray]
) -> None:
    images, ids = samples
    before = endpoint.counts.answered
    signal.extract(images, ids, endpoint)
    assert endpoint.counts.answered - before == len(ids) * signal.queries_per_sample((32, 32))


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
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
    import torch

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
        np.testing.assert_allclose(batch.values[row], np.concatenate(expected), rtol=1e-4, atol=1e-5)
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
    similarity = EncoderMISignal(views=7).extract(*samples, endpoint).values
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
