"""Every attack with a reading, from end to end: nothing on an untrained victim, much on an overfitted one."""

import pytest

from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.attacks.definition import MEMBERSHIP

SEEDS, TRAINED = 20, 3
NAMES = [
    entry.name
    for entry in ATTACKS
    if entry.value.question == MEMBERSHIP and AttackChoice(entry.name).build(0).reading.fitted_on_shadow
]


@pytest.fixture(scope="module")
def on_untrained(audits):
    small = {"references": 4, "distillation": {"epochs": 4, "batch_size": 20}, "epochs": 20}
    return audits(NAMES, SEEDS, overfitted=False, training=15, **small)


@pytest.fixture(scope="module")
def on_overfitted(audits):
    small = {"references": 8, "distillation": {"epochs": 12, "batch_size": 20}}
    return audits(NAMES, TRAINED, overfitted=True, training=40, **small)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_chance_lies_inside_the_interval_of_nearly_every_seed(name, on_untrained, assert_chance):
    assert_chance(on_untrained[name], len(NAMES))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_members_of_an_overfitted_victim_are_found(name, on_overfitted):
    found = [(estimate.value, estimate.interval.low) for estimate in on_overfitted[name]]
    assert all(value > 0.6 and low > 0.5 for value, low in found), found
