"""The same question gets the same bits from a deterministic server, however the work is divided."""

from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.server_process import served
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import KnownSamples
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import draw_split

pytestmark = pytest.mark.slow


def test_same_seed_same_scores_and_with_a_deterministic_server_the_same_bits(
    bundle: Path, tmp_path: Path, cluster: None
) -> None:
    spec = DatasetSpec("composites", {"count": 120})
    split = draw_split(spec.open(), members=40, non_members=60, seed=3)
    choice = AttackChoice("partcrop+encodermi", {"partcrop": {"crops": 8}, "encodermi": {"views": 4}}, "mlp")
    attack = choice.build(seed=5)
    divisions = ({"shard_size": 64}, 2), ({"shard_size": 17}, 1)
    signals, scores = [], []
    with served({"victim": str(bundle)}, options=["--deterministic"]) as (url,):
        for number, (division, workers) in enumerate(divisions):
            folder = tmp_path / str(number)
            plan = plan_extraction(
                attack.signals, spec, split.sample_id, EndpointSpec(url), folder, keep=True, **division
            )
            (extractions,) = extract([plan], workers=workers)
            folders = {signal.name: one.plan.folder for signal, one in zip(attack.signals, extractions, strict=True)}
            held = EvidenceFiles(spec, folders).read(split.sample_id)
            signals.append(attack.features(held))
            fitted = fit_and_score(attack, split, held, ControlEvidence(), KnownSamples(), seed=5)
            scores.append(fitted.scored.score)
    np.testing.assert_array_equal(signals[0], signals[1])
    np.testing.assert_array_equal(scores[0], scores[1])
