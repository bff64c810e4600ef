"""Every attack on signals alone, against a black box that answers members a little differently: found as often as due.

The endpoint memorises by construction and by image content alone: each sample is a plain image whose colour is its
identity, so that every crop and view of it tells the endpoint whom it is asked about.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, norm

from latentprint.attack_engine.asking.endpoint import Answers, Counts, EndpointCard
from latentprint.attack_engine.attacks import ATTACKS, Attack, AttackChoice
from latentprint.attack_engine.attacks.definition import ATTRIBUTES
from latentprint.attack_engine.attacks.fitting.scoring import score_partial
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.mlp import MlpClassifier
from latentprint.attack_engine.statistics.auc import estimate_auc, newcombe_variance
from latentprint.core.splits import EVALUATION, KNOWN, Split

SAMPLES, DIM, LOCATIONS = 200, 16, 16
TRIALS = 20
NOISES = 2003


@dataclass
class MemorisingEndpoint:
    """Answers from noise that the image's pixels seed; what it does to its members is one of three things.

    Attributes:
        members: colours of the members.
        kind: "moved" (the embedding moves along one direction), "steady" (views of one image agree more) or "sharp"
            (a part answers like one location of the whole image).
        effect: how strongly.
        salt: which draw of the noise.
    """

    members: frozenset[int]
    kind: str
    effect: float
    salt: int
    counts: Counts = field(default_factory=Counts)
    card: EndpointCard = field(
        default_factory=lambda: EndpointCard("synthetic", "m", {"embedding": (DIM,), "feature_map": (LOCATIONS, DIM)})
    )

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.salt)
        self.noise = rng.normal(size=(NOISES, DIM))
        self.identities = rng.normal(size=(NOISES, DIM))
        self.maps = rng.normal(size=(NOISES, LOCATIONS, DIM))

    def query(self, images: np.ndarray, outputs: Sequence[str]) -> Answers:
        colours = np.median(images.reshape(len(images), -1, 3), axis=1).astype(np.int64) @ [1, 256, 65536]
        seen = np.array([zlib.crc32(image.tobytes()) for image in images])
        noise, identity, locations = (
            self.noise[seen % NOISES],
            self.identities[colours % NOISES],
            self.maps[colours % NOISES],
        )
        strength = self.effect * np.isin(colours, list(self.members))[:, None]
        if self.kind == "moved":
            embedding = identity + strength
        elif self.kind == "steady":
            embedding = identity + noise * (1 - strength)
        else:
            embedding = noise + strength * locations[np.arange(len(images)), seen // NOISES % LOCATIONS]
        answers = {"embedding": embedding, "feature_map": locations}
        return {name: answers[name].astype(np.float32) for name in outputs}


def plain_images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Plain images uint8 [S, 32, 32, 3] with one bright pixel each that no median sees, and their colours."""
    colours = rng.permutation(np.arange(SAMPLES))
    levels = np.stack([colours % 100 + 50, colours // 100 + 100, np.full(SAMPLES, 120)], axis=1)
    images = np.broadcast_to(levels[:, None, None], (SAMPLES, 32, 32, 3)).astype(np.uint8).copy()
    spots = rng.integers(0, 32, size=(SAMPLES, 12, 2))
    for image, places in zip(images, spots, strict=True):
        image[places[:, 0], places[:, 1]] = 255
    return images, levels @ [1, 256, 65536]


def trial(attack: Attack, kind: str, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of evaluated members and non-members of one audit of one endpoint."""
    rng = np.random.default_rng(seed)
    images, colours = plain_images(rng)
    member = np.arange(SAMPLES) < SAMPLES // 2
    endpoint = MemorisingEndpoint(frozenset(colours[member].tolist()), kind, effect, seed)
    ids = np.arange(SAMPLES)
    role = np.where(ids % 2 == 0, KNOWN, EVALUATION)
    split = Split(ids, member, role, "0" * 64, seed)
    held = Evidence({signal.name: signal.extract(images, ids, endpoint).values for signal in attack.signals})
    return score_partial(attack.over_draws, attack.features(held), split, rng).sides


def predicted_power(true_auc: float, members: int, non_members: int) -> float:
    """Probability that a 95 % interval lies above 0.5 (the normal approximation of the power statistics)."""
    critical = norm.isf(0.025) * newcombe_variance(0.5, members, non_members) ** 0.5
    return float(norm.cdf((true_auc - 0.5 - critical) / newcombe_variance(true_auc, members, non_members) ** 0.5))


CASES = {
    "partcrop": ("sharp", 0.22, {"crops": 24}),
    "partcrop-cosine": ("sharp", 0.28, {"crops": 24, "similarity": "cosine"}),
    "partcrop-tiles": ("steady", 0.065, {"crops": 24, "feature_map": "tiles", "tile_grid": 3}),
    "partcrop-adaptive": ("sharp", 0.21, {"crops": 24, "parts": "adaptive", "scale": [0.2, 0.6]}),
    "supervisedmi": ("moved", 0.19, {}),
    "variance": ("steady", 0.042, {}),
    "encodermi": ("steady", 0.11, {"augmentation": "mae"}),
    "encodermi-s": ("steady", 0.11, {"augmentation": "mae"}),
    "encodermi-t": ("steady", 0.11, {"augmentation": "mae"}),
    "dataset-inference": ("moved", 0.28, {}),
    "view-relations": ("steady", 0.09, {"augmentation": "mae", "local_views": 3}),
    "masked-reconstruction": ("steady", 0.2, {"masks": 2, "share": 0.25}),
}


REGISTERED = [
    entry.name
    for entry in ATTACKS
    if entry.value.question != ATTRIBUTES and not AttackChoice(entry.name).build(0).reading.fitted_on_shadow
]


def chosen(case: str) -> tuple[Attack, str, float]:
    """The attack of a case, with the effect that is planted; of an attack that has no case, one that suits it."""
    kind, effect, options = CASES.get(case, ("", 0.0, {}))
    name = case if case in ATTACKS.names() else "partcrop"
    usual = AttackChoice(name, options).build(0)
    attack = AttackChoice(name, options, inference="logistic").build(0) if learns(usual) else usual
    return (attack, kind, effect) if kind else (attack, *suiting(attack))


def learns(attack: Attack) -> bool:
    """Whether its inference model is a network of a vector, in whose place logistic regression does in a moment."""
    return isinstance(attack.inference, MlpClassifier)


@cache
def suiting(attack: Attack) -> tuple[str, float]:
    """The kind and the smallest effect that the attack finds more often than not, on endpoints of their own."""
    for effect in np.geomspace(0.02, 2, 14):
        for kind in ("moved", "steady", "sharp"):
            aucs = [estimate_auc(*trial(attack, kind, effect, 1000 + seed)).value for seed in range(6)]
            if predicted_power(float(np.mean(aucs)), SAMPLES // 4, SAMPLES // 4) > 0.6:
                return kind, float(effect)
    raise AssertionError(f"{attack.name} finds nothing that is planted: give it a case with a signal that it reads")


@pytest.mark.slow
@pytest.mark.parametrize("case", dict.fromkeys([*CASES, *REGISTERED]))
def test_a_planted_signal_is_found_as_often_as_the_statistics_predict(case: str) -> None:
    attack, kind, effect = chosen(case)
    estimates = [estimate_auc(*trial(attack, kind, effect, seed)) for seed in range(TRIALS)]
    found = sum(estimate.interval.low > 0.5 for estimate in estimates)
    power = predicted_power(float(np.mean([e.value for e in estimates])), SAMPLES // 4, SAMPLES // 4)
    assert 0.3 < power < 0.999, "an effect that is neither hopeless nor certain to be found"
    low, high = binom.interval(0.999, TRIALS, power)
    assert low <= found <= high


@pytest.mark.slow
@pytest.mark.parametrize("case", dict.fromkeys([*CASES, *REGISTERED]))
def test_nothing_is_found_where_members_are_answered_like_all_others(case: str) -> None:
    attack, kind, _ = chosen(case)
    held = [estimate_auc(*trial(attack, kind, 0.0, seed)).interval.contains(0.5) for seed in range(TRIALS)]
    assert sum(held) >= TRIALS - 3
