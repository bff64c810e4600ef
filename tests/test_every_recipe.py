"""Every recipe's bundle, and one of weights trained elsewhere: trained, and audited against its untrained twin."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from latentprint.attack_engine.asking.server_process import served
from latentprint.core.datasets import DatasetSpec
from latentprint.core.split_files import write_split
from latentprint.core.splits import VALIDATION, Split, draw_split
from latentprint.trainer import RECIPES, train
from latentprint.trainer.foreign import Architecture, import_encoder

DIGITS, BASKETS = DatasetSpec("digits"), DatasetSpec("baskets", {"count": 100, "features": 50, "classes": 4})
SMALL: dict[str, Any] = {"embed_dim": 32, "depth": 2, "heads": 2, "decoder_dim": 16, "decoder_heads": 2}
SMALL |= {"prototypes": 8, "local_views": 2, "queue": 12, "batch_size": 8, "attack_steps": 1, "attribute": "class"}
VECTORS = {"architecture": "mlp", "crop_scale_from": 1.0, "flip": 0.0, "batch_size": 8}
TRAINED = (*RECIPES.names(), "supervised-vectors")
IMPORTED = "imported"
SERVED = ("mae", "moco", "supervised", "supervised-vectors", IMPORTED)


def drawn(dataset: DatasetSpec) -> Split:
    """20 members, 20 non-members, half of each known, and 10 samples for recipes that learn from held-out ones."""
    split = draw_split(dataset.open(), members=20, non_members=20, seed=3, source=dataset)
    return replace(split, further={VALIDATION: np.setdiff1d(np.arange(100), split.sample_id)[:10]})


def imported(folder: Path) -> None:
    """A bundle of a timm ViT with a fixed size, whose weights lie in a file."""
    options = {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}
    weights = folder.with_suffix(".safetensors")
    save_file(timm.create_model("vit_tiny_patch16_224", img_size=32, **options).state_dict(), weights)
    architecture = Architecture("vit_tiny_patch16_224", 0, options, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    import_encoder(architecture, weights, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle and its split for every recipe."""
    root = tmp_path_factory.mktemp("recipes")
    splits = {spec.name: drawn(spec) for spec in (DIGITS, BASKETS)}
    for name in (*TRAINED, IMPORTED):
        spec = BASKETS if name.endswith("-vectors") else DIGITS
        write_split(splits[spec.name], root / f"{name}.parquet")
        if name == IMPORTED:
            imported(root / name)
            continue
        recipe = name.removesuffix("-vectors")
        known = {field.name for field in fields(RECIPES.get(recipe))}
        options = VECTORS if spec is BASKETS else {key: value for key, value in SMALL.items() if key in known}
        train(recipe, options, spec, splits[spec.name], root / name, epochs=1, threads=1)
    return root


@pytest.fixture(scope="module")
def endpoints(folder: Path, cluster: None) -> Iterator[dict[str, str]]:
    """A bundle of every kind of network behind a server of its own, the others in this process."""
    local = {name: f"local:{folder / name}" for name in TRAINED}
    with served({name: str(folder / name) for name in SERVED}) as urls:
        yield {**local, **dict(zip(SERVED, urls, strict=True))}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TRAINED, IMPORTED])
def test_a_bundle_is_audited_with_the_defaults(
    name: str, endpoints: dict[str, str], folder: Path, latentprint: Callable[..., Any]
) -> None:
    ended = latentprint(
        "audit", endpoints[name], "--split", folder / f"{name}.parquet", "--attack", "supervisedmi",
        "--workers", 1, "--root", folder / "runs", "--name", name,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert "untrained encoder" in {control["name"] for control in audit["controls"]}
