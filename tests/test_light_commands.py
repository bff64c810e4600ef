import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from latentprint.core.cli import COMMANDS
from latentprint.core.commands.list import REGISTRIES, open_registry

LATENTPRINT = shutil.which("latentprint", path=Path(sys.executable).parent)
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "ray",
    "mlflow",
    "sklearn",
    "scipy",
    "pandas",
    "prometheus_client",
    "opentelemetry",
}
KINDS = sorted(point.name for point in entry_points(group=REGISTRIES))


def imported(*arguments):
    """Modules that `latentprint ARGUMENTS` imports."""
    command = [sys.executable, "-X", "importtime", LATENTPRINT, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("doctor",),
        *(("list", kind) for kind in KINDS),
        *((point.name, "--help") for point in entry_points(group=COMMANDS)),
    ],
    ids=" ".join,
)
def test_what_computes_nothing_imports_nothing_that_computes(arguments):
    modules = imported(*arguments)
    assert "typer" in modules
    assert not modules & HEAVY


@pytest.mark.parametrize("module", ["runs.experiment", "runs.live", "runs.fitting", "asking.worker"])
def test_a_worker_imports_nothing_that_only_a_report_or_a_few_attacks_need(module):
    command = f"import sys, latentprint.attack_engine.{module}; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=300)
    modules = set(result.stdout.splitlines())
    assert "torch" in modules
    assert not modules & {"pandas", "scipy.stats", "scipy.optimize", "sklearn", "timm", "torchvision", "mlflow"}


def test_planning_a_training_imports_no_architectures_whatever_the_recipe():
    command = (
        "import sys\n"
        "from latentprint.trainer import RECIPES, make_plan\n"
        "for name in RECIPES.names():\n"
        "    make_plan(name, {}, 1)\n"
        "print(*sys.modules, sep='\\n')"
    )
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=300)
    modules = set(result.stdout.splitlines())
    assert "latentprint.trainer.recipes.vit" in modules
    assert not modules & {"timm", "lightly", "torchvision"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_registered_by_its_place_is_there(kind):
    for entry in open_registry(kind):
        assert entry.value is not None
        assert open_registry(kind).get(entry.name) == entry.value
