import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latentprint.core.bundles import BundleCard
from latentprint.core.cli import main
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import VALIDATION, Split, draw_split
from latentprint.trainer import RECIPES, train

TINY: dict[str, dict[str, Any]] = {
    "mae": {"embed_dim": 32, "depth": 1, "heads": 2, "decoder_dim": 16, "decoder_heads": 2, "batch_size": 8},
    "moco": {"batch_size": 8, "queue": 12},
    "dino": {"embed_dim": 32, "depth": 1, "heads": 2, "prototypes": 16, "local_views": 2, "batch_size": 8},
    "supervised": {"batch_size": 8},
    "cae": {"embed_dim": 32, "depth": 1, "heads": 2, "batch_size": 8},
    "ibot": {"embed_dim": 32, "depth": 1, "heads": 2, "prototypes": 16, "local_views": 2, "batch_size": 8},
    "long-seq-mae": {"embed_dim": 32, "depth": 1, "heads": 2, "decoder_dim": 16, "decoder_heads": 2, "batch_size": 8},
    "saim": {"embed_dim": 32, "depth": 2, "heads": 2, "batch_size": 8},
    "simclr": {"batch_size": 8},
    "simsiam": {"batch_size": 8},
    "swav": {"batch_size": 8, "prototypes": 6, "projection_dim": 8},
    "vicreg": {"batch_size": 8, "expander_dim": 16},
    "mixco": {"batch_size": 8, "queue": 12},
    "rocl": {"batch_size": 8, "queue": 12, "attack_steps": 2},
    "adv-reg": {"batch_size": 8, "adversary_width": 32},
    "mixup-mmd": {"batch_size": 8},
    "triplet": {"identities": 4, "images_of_each": 2, "architecture_options": {"width": 8}},
    "talos": {"batch_size": 8, "attribute": "class"},
}

SMALL = {"embed_dim": 32, "depth": 2, "heads": 2, "batch_size": 8}


@pytest.fixture(scope="session")
def tiny_options() -> Callable[[str], dict[str, Any]]:
    """Options of a tiny version of any registered recipe: its own above, or those of SMALL that it has."""

    def options(recipe: str) -> dict[str, Any]:
        known = {field.name for field in fields(RECIPES.get(recipe))}
        return TINY.get(recipe, {name: value for name, value in SMALL.items() if name in known})

    return options


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Does tasks of `joint_worker` in two processes over gloo ("joint") and in one ("alone")."""

    def run(tasks: dict[str, Any]) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("workers")
        (folder / "tasks.json").write_text(json.dumps(tasks))
        script = str(Path(__file__).with_name("joint_worker.py"))
        workers = [subprocess.Popen([sys.executable, script, str(rank), "2", str(folder)]) for rank in (0, 1)]
        try:
            assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
        finally:
            for worker in workers:
                worker.kill()
        results: dict[str, Any] = torch.load(folder / "results.pt")
        return results

    return run


@pytest.fixture(scope="session")
def digits() -> DatasetSpec:
    return DatasetSpec("digits")


@pytest.fixture(scope="session")
def split(digits: DatasetSpec) -> Split:
    drawn = draw_split(digits.open(), members=20, non_members=20, seed=3, source=digits)
    validation = np.setdiff1d(np.arange(100), drawn.sample_id)[:30]
    return replace(drawn, further={VALIDATION: validation})


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def images(request: pytest.FixtureRequest, generator: torch.Generator) -> torch.Tensor:
    """As many random images as the test's module says by IMAGES."""
    return torch.randint(0, 256, (request.module.IMAGES, 32, 32, 3), generator=generator, dtype=torch.uint8)


Trainer = Callable[..., BundleCard]


@pytest.fixture
def train_tiny(
    digits: DatasetSpec, split: Split, tiny_options: Callable[[str], dict[str, Any]], tmp_path: Path
) -> Trainer:
    """Trains a tiny version of a recipe on 20 digits, one thread, by default for two epochs."""

    def run(recipe: str, folder: str = "victim", **keywords: Any) -> BundleCard:
        options = tiny_options(recipe) | keywords.pop("options", {})
        settings: dict[str, Any] = {"epochs": 2, "threads": 1, "seed": 5} | keywords
        dataset = settings.pop("dataset", digits)
        return train(recipe, options, dataset, settings.pop("split", split), tmp_path / folder, **settings)

    return run


@pytest.fixture
def latentprint(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["latentprint", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, " ".join(captured.err.split())

    return run
