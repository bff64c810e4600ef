"""How often each test of ownership flags encoders that have nothing of the private images, and victims, which have.

Small convolutional encoders, each trained by itself on images of its own (InfoNCE on crops and flips), asked about
private and test images of its own: ENCODERS in the environment sets how many are independent (40); a quarter as many
are victims, trained longer, on the private images. docs/ownership.md holds what it printed.
"""

import os

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.drivers.in_memory import InMemoryModel
from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import knowledge_of
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.statistics.estimates import MeanDifference
from latentprint.attack_engine.statistics.mean_difference import Sides, mean_difference
from latentprint.attack_engine.statistics.published_ownership import published_halved_p, published_resampled_p
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import EVALUATION, KNOWN, Split
from latentprint.core.views.augmentations import PRESETS, views_for_samples

ENCODERS = int(os.environ.get("ENCODERS", "40"))
VICTIMS = max(1, ENCODERS // 4)
PRIVATE = TEST = OTHERS = 200
STEPS, VICTIM_STEPS = 60, 300
LEVEL, DIM = 0.05, 32
DATA = DatasetSpec("composites", {"count": 40_000}).open()
ATTACKS = [
    AttackChoice("dataset-inference").build(0),
    AttackChoice("view-relations", {"augmentation": "mae"}).build(0),
    AttackChoice("masked-reconstruction").build(0),
]
PUBLISHED = {"dataset-inference": "halved"}  # the other two resample


def main() -> None:
    """Print both rates of each test, the valid one's and the published one's."""
    torch.set_num_threads(1)
    independent = np.array([flagged(seed, victim=False) for seed in range(ENCODERS)])
    victims = np.array([flagged(1000 + seed, victim=True) for seed in range(VICTIMS)])
    most = int(binom.ppf(0.975, ENCODERS, LEVEL))
    print(f"flagged at {LEVEL:.0%}: independent encoders (of {ENCODERS}), as published; victims (of {VICTIMS})")
    for place, attack in enumerate(ATTACKS):
        ours, theirs = independent[:, place].sum(axis=0)
        print(f"{attack.name}: {ours}, {theirs}; {victims[:, place, 0].sum()}")
        print(f"ratio flagged-{attack.name} {ours} (target <= {most})")


def flagged(seed: int, *, victim: bool) -> list[tuple[bool, bool]]:
    """Whether each test flags an encoder, by its own p-value and by the published one."""
    split, others = drawn(seed, OTHERS)
    ids = split.ids(member=True) if victim else others
    model = trained(seed, ids, VICTIM_STEPS if victim else STEPS)
    held = InMemoryModel(model, (32, 32, 3), name="encoder", mean=(0.5,) * 3, std=(1.0,) * 3)
    with EndpointSpec("python:encoder", model=held).open() as endpoint:
        scored = [scores(attack, split, endpoint) for attack in ATTACKS]
    rng = np.random.default_rng(seed)
    tests = [tested(attack, sides, rng) for attack, sides in zip(ATTACKS, scored, strict=True)]
    return [(difference.p_value <= LEVEL, published <= LEVEL) for difference, published in tests]


def tested(attack: Attack, sides: Sides, rng: np.random.Generator) -> tuple[MeanDifference, float]:
    """What a test finds in an encoder's scores, and the published procedure's p-value of the same scores."""
    halved = PUBLISHED.get(attack.name) == "halved"
    published = published_halved_p(*sides) if halved else published_resampled_p(*sides, rng=rng)
    return mean_difference(*sides, rng=rng), published


def scores(attack: Attack, split: Split, endpoint: Endpoint) -> Sides:
    """Scores of held-out private images and of test images."""
    (signal,) = attack.signals
    values = signal.extract(DATA.images(split.sample_id), split.sample_id, endpoint).values
    knowledge = knowledge_of(attack, None)
    return fit_and_score(attack, split, Evidence({signal.name: values}), ControlEvidence(), knowledge, 0).scored.sides


def drawn(seed: int, others: int) -> tuple[Split, np.ndarray]:
    """Private images, half of them known, and test images; and so many others, which neither of them are."""
    ids = np.random.default_rng([seed, 9]).permutation(len(DATA))[: PRIVATE + TEST + others]
    own = np.sort(ids[: PRIVATE + TEST])
    role = np.where(np.isin(own, ids[: PRIVATE // 2]), KNOWN, EVALUATION)
    return Split(own, np.isin(own, ids[:PRIVATE]), role, DATA.digest, seed), ids[PRIVATE + TEST :]


def trained(seed: int, ids: np.ndarray, steps: int, batch: int = 100) -> nn.Module:
    """A small encoder, trained on these images so that two crops of one image are alike."""
    torch.manual_seed(seed)
    model = layers()
    optimiser, rng, images = torch.optim.Adam(model.parameters(), 2e-3), np.random.default_rng(seed), DATA.images(ids)
    for _ in range(steps):
        rows = rng.permutation(len(ids))[:batch]
        drawn_views = int(rng.integers(2**31))
        views = views_for_samples(
            torch.from_numpy(images[rows]), ids[rows], PRESETS["mae"], views=2, seed=drawn_views
        ).numpy()
        optimiser.zero_grad()
        torch.autograd.backward(info_nce(*(model(as_input(views[:, place])) for place in (0, 1))))
        optimiser.step()
    return model.eval()


def layers() -> nn.Sequential:
    """A small encoder with initial weights: three convolutions and a linear layer."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, DIM)),
    )


def info_nce(first: Tensor, second: Tensor, temperature: float = 0.2) -> Tensor:
    """InfoNCE of two views' embeddings [B, D], in both directions."""
    one, other = (nn.functional.normalize(views, dim=1) for views in (first, second))
    cosines, truth = one @ other.T / temperature, torch.arange(len(one))
    return (nn.functional.cross_entropy(cosines, truth) + nn.functional.cross_entropy(cosines.T, truth)) / 2


def as_input(images: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] as float32 [B, 3, H, W] around 0."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5


if __name__ == "__main__":
    main()
