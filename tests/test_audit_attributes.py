"""`latentprint audit --question attributes` on a live endpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec
from latentprint.core.split_files import write_split
from latentprint.core.splits import draw_split

pytestmark = pytest.mark.slow
SPEC = DatasetSpec("composites", {"count": 240})


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("splits") / "split.parquet"
    write_split(draw_split(SPEC.open(), members=120, non_members=120, seed=0, source=SPEC), path)
    return path


def test_an_attribute_is_audited_over_the_wire_against_its_baselines(
    latentprint: Callable[..., object], endpoint: str, split: Path, tmp_path: Path, cluster: None
) -> None:
    name = next(iter(SPEC.open().attributes))
    command = ("audit", endpoint, "--question", "attributes", "--attribute", name, "--split", split, "--root", tmp_path)
    ended = latentprint(*command)
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    assert "What can be had without the encoder" in report.read_text()
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert (audit["question"], audit["result"]["attribute"]) == ("attributes", name)
    baselines = {one["name"] for one in audit["result"]["baselines"]}
    assert baselines == {"majority value", "raw pixels", "untrained encoder"}
    assert audit["queries"]["answered"] == 240
    assert audit["verdict"]["outcome"] == "none"  # the encoder is an untrained one itself
    again = latentprint(*command)
    assert "0 images to ask" in again.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--attribute", "no-such"), "no-such"),
        (("--attribute", "shape", "--attack", "partcrop"), "partcrop answers the question of membership"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_asked(
    latentprint: Callable[..., object], endpoint: str, split: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    ended = latentprint("audit", endpoint, "--question", "attributes", *options, "--split", split, "--root", tmp_path)
    assert ended.code == 2
    assert words in ended.err
    assert "images to ask" not in ended.err


def test_values_of_sorted_folders_go_by_the_folders_names(
    latentprint: Callable[..., object], endpoint: str, tmp_path: Path, cluster: None
) -> None:
    images = SPEC.open().images(np.arange(96))
    for row, pixels in enumerate(images):
        folder = tmp_path / ("in", "out")[row % 2] / ("Läufer", "square line")[row // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{row:03}.png")
    named = ("--members", tmp_path / "in", "--non-members", tmp_path / "out", "--root", tmp_path / "runs")
    ended = latentprint("audit", endpoint, "--question", "attributes", *named)
    assert ended.code == 0, ended.err
    findings = Path(ended.out.strip().splitlines()[-1]).with_name("findings.json")
    (audit,) = json.loads(findings.read_text())["audits"]
    assert {one["value"] for one in audit["result"]["recalls"]} == {"Läufer", "square line"}
    assert "not resolvable" not in ended.err
    unused = latentprint("audit", endpoint, "--question", "attributes", *named, "--reference", endpoint)
    assert (unused.code, "--reference is not used" in unused.err) == (2, True)
