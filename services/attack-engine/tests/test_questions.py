"""Questions and the attacks that answer them: an audit asks one."""

from dataclasses import replace

import pytest

from latentprint.attack_engine.attacks import ATTACKS, AttackChoice, AttackDefinition
from latentprint.attack_engine.attacks.attack import require_one_question
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.core.errors import UsageError


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> str:
    """An attack on embeddings that answers another question."""
    monkeypatch.setattr(ATTACKS, "_entries", {**ATTACKS._entries})
    plain = ATTACKS.get("supervisedmi")
    assert isinstance(plain, AttackDefinition)
    ATTACKS.add("eye-colour", replace(plain, question="eyes"), summary="the colour of eyes", source="this test")
    return "eye-colour"


def test_an_attack_knows_its_question(other: str) -> None:
    attacks = [AttackChoice(name).build(0) for name in ("encodermi", other)]
    assert [attack.question for attack in attacks] == [MEMBERSHIP, "eyes"]
    assert require_one_question(attacks[1:]) == "eyes"
    assert require_one_question(attacks[:1], MEMBERSHIP) == MEMBERSHIP
    with pytest.raises(UsageError, match="eye-colour answers the question of eyes, and this audit asks for membership"):
        require_one_question(attacks)
    with pytest.raises(UsageError, match="joins answers to several questions: membership, eyes"):
        AttackChoice(f"encodermi+{other}").build(0)


def test_every_questions_default_attacks_answer_it() -> None:
    for entry in QUESTIONS:
        attacks = [AttackChoice(name).build(0) for name in entry.value.attacks]
        assert attacks
        assert require_one_question(attacks, entry.name) == entry.name
