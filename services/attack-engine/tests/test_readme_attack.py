"""The README's attack works as it is pasted: its file, and its entry in the registry."""

import re
from pathlib import Path

import numpy as np
import pytest

import latentprint.attack_engine.attacks as attacks
from latentprint.attack_engine.attacks import ATTACKS, AttackChoice, membership
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.statistics.auc import auc
from latentprint.core.splits import EVALUATION, KNOWN, Split

README = Path(__file__).resolve().parents[3] / "README.md"


def test_the_attack_of_the_readme_runs_as_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.read_text(encoding="utf-8").split("## Add an attack")[1].split("\n## ")[0]
    (place,) = re.findall(r"`(services/\S+\.py)`", section)
    code, entry = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / Path(place).name).write_text(code, encoding="utf-8")
    monkeypatch.setattr(membership, "__path__", [*membership.__path__, str(tmp_path)])
    monkeypatch.setattr(ATTACKS, "_entries", dict(ATTACKS._entries))
    exec(entry, vars(attacks))
    attack = AttackChoice(ATTACKS.names()[-1]).build(0)
    ids = np.arange(120)
    split = Split(ids, ids % 2 == 0, np.where(ids % 4 < 2, KNOWN, EVALUATION), "0" * 64, 0)
    answers = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32) + split.member[:, None]
    scores = fit_and_score(attack, split, Evidence({"answer-embedding": answers}), ControlEvidence(), KnownSamples(), 0)
    assert auc(*scores.scored.sides) > 0.7
