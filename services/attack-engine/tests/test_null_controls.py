"""Every attack on signals alone, as it comes, against untrained encoders: chance lies inside its interval."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.attacks.definition import ATTRIBUTES
from latentprint.attack_engine.attacks.fitting.scoring import score_partial
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.statistics.auc import estimate_auc
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.splits import Split, draw_split
from latentprint.core.views.augmentations import MOCO_WEAK
from latentprint.trainer import untrained

SEEDS = 20
CROPS = {"crops": 24}
CHEAPER = {"partcrop": CROPS, "view-relations": {"augmentation": "mae", "local_views": 2}}
CHOICES = {
    **{
        entry.name: AttackChoice(entry.name, CHEAPER.get(entry.name, {}))
        for entry in ATTACKS
        if entry.value.question != ATTRIBUTES and not AttackChoice(entry.name).build(0).reading.fitted_on_shadow
    },
    "cosine": AttackChoice("partcrop", CROPS | {"similarity": "cosine"}),
    "tiles": AttackChoice("partcrop", CROPS | {"feature_map": "tiles", "tile_grid": 3}),
    "adaptive": AttackChoice("partcrop", CROPS | {"parts": "adaptive", "scale": [0.2, 0.6]}),
    "fresh": AttackChoice("partcrop", {"crops": 12, "fresh": 2}),
    "known augmentation": AttackChoice("encodermi", {"augmentation": "victim"}),
    "combination": AttackChoice("partcrop+encodermi", {"partcrop": CROPS}),
}
SMALL_VIT = {"embed_dim": 32, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def estimates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Estimate]]:
    """The AUC of every attack on a fresh split and a fresh untrained encoder for every seed; signals asked once."""
    spec = DatasetSpec("digits")
    data = spec.open()
    found: dict[str, list[Estimate]] = {name: [] for name in CHOICES}
    for seed in range(SEEDS):
        split = draw_split(data, members=80, non_members=80, seed=seed, source=spec)
        folder: Path = tmp_path_factory.mktemp("untrained") / "encoder"
        untrained("mae", SMALL_VIT, spec, split, folder, seed=seed)
        audit(data, split, EndpointSpec(f"local:{folder}", threads=1), seed, found)
    return found


def audit(data: Dataset, split: Split, spec: EndpointSpec, seed: int, found: dict[str, list[Estimate]]) -> None:
    images, asked = data.images(split.sample_id), {}
    with spec.open() as endpoint:
        for name, choice in CHOICES.items():
            attack = choice.build(seed).against(MOCO_WEAK)
            for signal in attack.signals:
                if signal not in asked:
                    asked[signal] = signal.extract(images, split.sample_id, endpoint).values
            held = Evidence({signal.name: asked[signal] for signal in attack.signals})
            rng = np.random.default_rng([seed, 7])
            found[name].append(estimate_auc(*score_partial(attack.over_draws, attack.features(held), split, rng).sides))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOICES)
def test_chance_lies_inside_the_interval_of_nearly_every_seed(
    name: str, estimates: dict[str, list[Estimate]], assert_chance: Callable[[Sequence[Estimate], int], None]
) -> None:
    assert_chance(estimates[name], len(CHOICES))
