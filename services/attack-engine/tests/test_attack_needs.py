"""What `latentprint list attacks` says that an attack needs is what it asks for, and what it is fitted to."""

import pytest

from latentprint.attack_engine.attacks import ATTACKS, Attack, AttackChoice

SAMPLE = (32, 32, 3)


def computed(attack: Attack) -> dict[str, str]:
    """An attack's needs, of the attack itself."""
    queries = sum(signal.queries_per_sample(SAMPLE) for signal in attack.signals)
    further = ", 1 a distillation sample" if attack.reading.imitates else ""
    return {
        "outputs": ", ".join(attack.outputs),
        "queries": f"{queries} a sample{further}",
        "shadows": shadows(attack),
    }


def shadows(attack: Attack) -> str:
    """Which models of its own the adversary trains."""
    references = attack.reading.references
    if references is not None and references.kind == "trained":
        return "reference models" if attack.unfitted else "one, and reference models"
    if references is not None:
        return "one"
    return "one, or known samples" if attack.reading.fitted_on_shadow else "none"


@pytest.mark.parametrize("name", ATTACKS.names())
def test_the_list_says_what_an_attack_needs(name: str) -> None:
    assert ATTACKS.entry(name).needs == computed(AttackChoice(name).build(0))
