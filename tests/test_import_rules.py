import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / ".importlinter"
LINT_IMPORTS = shutil.which("lint-imports", path=Path(sys.executable).parent)

# A house in miniature that keeps every rule.
CLEAN = {
    "core/__init__.py": "",
    "core/bundles.py": "import torch",
    "core/tracking/__init__.py": "from latentprint.core.tracking import store",
    "core/tracking/store.py": "import mlflow",
    "core/tracking/stored_runs.py": "import mlflow",
    "core/tracking/registry.py": "import mlflow",
    "core/tracking/fetching.py": "import mlflow",
    "core/datasets.py": "import sklearn",
    "trainer/__init__.py": "from latentprint.trainer import loop",
    "trainer/loop.py": "from latentprint.core import datasets, tracking",
    "encoder_server/__init__.py": "",
    "encoder_server/server.py": "from latentprint.core import bundles",
    "encoder_server/registered.py": "def later():\n    from latentprint.core.tracking import fetching",
    "attack_engine/__init__.py": "",
    "attack_engine/run.py": "import ray\nfrom latentprint import trainer\nfrom latentprint.core import tracking",
}

ROOMS = [
    "statistics",
    "asking",
    "evidence",
    "signals",
    "inference",
    "attacks",
    "models",
    "questions",
    "findings",
    "report",
    "runs",
    "commands",
]
for place, room in enumerate(ROOMS):
    below = [f"from latentprint.attack_engine import {lower}" for lower in ROOMS[:place]]
    CLEAN[f"attack_engine/{room}/__init__.py"] = "\n".join(below)

RISES = [
    (
        f"attack_engine/{lower}/__init__.py",
        f"from latentprint.attack_engine import {upper}",
        "the attack engine's rooms",
    )
    for lower, upper in pairwise(ROOMS)
]
BREAKS = [
    ("core/bundles.py", "import latentprint.trainer", "core imports no service"),
    ("core/bundles.py", "from latentprint.encoder_server import server", "core imports no service"),
    ("core/bundles.py", "def later():\n    import ray", "core imports no service"),
    ("trainer/loop.py", "import latentprint.attack_engine.run", "trainer imports core alone"),
    ("trainer/loop.py", "from latentprint.encoder_server.server import x", "trainer imports core alone"),
    ("encoder_server/server.py", "import latentprint.trainer", "encoder_server imports core alone"),
    ("encoder_server/server.py", "import latentprint.attack_engine", "encoder_server imports core alone"),
    ("encoder_server/server.py", "import ray", "encoder_server carries no Ray"),
    ("encoder_server/server.py", "from sklearn.metrics import auc", "encoder_server carries no Ray"),
    ("encoder_server/server.py", "from latentprint.core import tracking", "encoder_server carries no Ray"),
    ("encoder_server/server.py", "from latentprint.core.tracking import fetching", "encoder_server carries no Ray"),
    ("encoder_server/server.py", "from latentprint.core.datasets import x", "encoder_server carries no Ray"),
    ("attack_engine/run.py", "from latentprint.encoder_server import server", "attack_engine meets the encoder server"),
    ("attack_engine/run.py", "from latentprint.trainer import loop", "attack_engine imports nothing below"),
    ("attack_engine/run.py", "from latentprint.trainer.loop import x", "attack_engine imports nothing below"),
    ("attack_engine/run.py", "from mlflow import MlflowClient", "MLflow is imported in core.tracking alone"),
    *RISES,
    ("trainer/loop.py", "import mlflow", "MLflow is imported in core.tracking alone"),
    ("core/datasets.py", "import mlflow.entities", "MLflow is imported in core.tracking alone"),
]


def lint_imports(folder, **environment):
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", str(RULES)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def write(root, files):
    for name, text in files.items():
        file = root / "latentprint" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")


def verdict_of_each_rule(output):
    return dict(re.findall(r"^(\w.*) (KEPT|BROKEN)\b", output, re.MULTILINE))


def test_the_house_keeps_its_rules():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    verdicts = verdict_of_each_rule(result.stdout)
    assert list(verdicts.values()) == ["KEPT"] * 8


def test_a_house_in_miniature_keeps_them_too(tmp_path):
    write(tmp_path, CLEAN)
    result = lint_imports(tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("file", "line", "rule"), BREAKS)
def test_a_break_is_caught(file, line, rule, tmp_path):
    write(tmp_path, CLEAN | {file: f"{CLEAN[file]}\n{line}"})
    result = lint_imports(tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode != 0
    broken = [name for name, verdict in verdict_of_each_rule(result.stdout).items() if verdict == "BROKEN"]
    assert any(name.startswith(rule) for name in broken), result.stdout
