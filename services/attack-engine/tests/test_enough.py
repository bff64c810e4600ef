"""Too few reference models are refused before anything is trained."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.experiment import run_experiment
from latentprint.attack_engine.runs.experiment_file import load_experiment
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.plan import plan_victims, require_enough_references
from latentprint.core.errors import UsageError

MLP = {"architecture": "mlp"}
SHADOWED = {"shadow_members": 40, "shadow_non_members": 40, "distillation": "rest", "known_fraction": 0.0}


def experiment_with(folder: Path, attack: dict[str, Any]) -> tuple[Experiment, Path]:
    content = {
        "name": "trial",
        "datasets": {"d": {"name": "baskets", "options": {"count": 240}}},
        "splits": {"s": {"dataset": "d", "members": 40, "non_members": 40, **SHADOWED}},
        "victims": [{"name": "v", "recipe": "supervised", "split": "s", "epochs": 1, "options": MLP}],
        "attacks": [attack],
    }
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_experiment(path), path


@pytest.mark.parametrize(
    ("name", "count", "parts", "fewest"),
    [
        ("lira", 2, 4, 3),
        ("lira-online", 3, 2, 4),
        ("enhancedmia-r", 2, 4, 3),
        ("bavaria-online", 2, 2, 3),
    ],
)
def test_too_few_references_are_refused_before_anything_is_trained(
    tmp_path: Path, name: str, count: int, parts: int, fewest: int
) -> None:
    experiment, path = experiment_with(tmp_path, {"name": name, "options": {"references": {"count": count}}})
    words = f"{name} on 'v': with {count} .* {parts} parts .* at least {fewest}"
    with pytest.raises(UsageError, match=words):
        run_experiment(experiment, path, tmp_path / "runs", Console(quiet=True))
    assert not list(tmp_path.glob("runs/store/victims/*"))
    enough, _ = experiment_with(tmp_path, {"name": name, "options": {"references": {"count": fewest}}})
    require_enough_references(map(enough.attack, enough.attacks), plan_victims(enough, Layout(tmp_path, "trial")))
