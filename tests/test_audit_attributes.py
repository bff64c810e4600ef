"""`latentprint audit --question attributes` on a live endpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

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
