"""The default attack against encoders whose embedding has another width than their feature map, over the wire."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.server_process import served
from latentprint.attack_engine.asking.signal_store import read_signals
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.core.datasets import DatasetSpec

pytestmark = pytest.mark.slow
_NAMES = ("mobilenetv3_small_050", "ghostnet_050", "efficientvit_b0", "hgnetv2_b0")
_IMAGES = DatasetSpec("composites", {"count": 6, "side": 64})


@pytest.fixture(scope="module")
def endpoints() -> Iterator[dict[str, str]]:
    with served({name: f"timm:{name}" for name in _NAMES}, options=["--weights", "random"]) as urls:
        yield dict(zip(_NAMES, urls, strict=True))


@pytest.mark.parametrize("name", _NAMES)
def test_partcrop_reads_it_from_end_to_end(name: str, endpoints: dict[str, str], tmp_path: Path) -> None:
    signal = PartCropSignal(crops=3, side=32)
    plan = plan_extraction([signal], _IMAGES, np.arange(6), EndpointSpec(endpoints[name]), tmp_path)
    assert plan.card.outputs["embedding"][-1] != plan.card.outputs["feature_map"][-1]
    worker = ShardWorker([plan])
    for task in tasks_of([plan]):
        worker.run(task)
    worker.close()
    values = read_signals(plan.signals[0].folder, np.arange(6)).values
    assert values.shape == (6, 6)
    assert np.isfinite(values).all()
    assert len(np.unique(values, axis=0)) == 6


def test_an_audit_with_defaults_says_what_stood_for_a_part(
    latentprint: Callable[..., object],
    endpoints: dict[str, str],
    image_folders: tuple[Path, Path],
    tmp_path: Path,
    cluster: None,
) -> None:
    members, others = image_folders
    command = ["audit", endpoints[_NAMES[0]], "--members", members, "--non-members", others, "--side", 64]
    command += ["--attack-option", "partcrop.crops=4", "--attack", "partcrop", "--root", tmp_path]
    ended = latentprint(*command, "--untrained", "none", "--workers", 1)
    assert ended.code == 0, ended.err
    report = Path(ended.out.strip().splitlines()[-1])
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert "the vector of a part is the average of its own feature map" in audit["attack"]["summary"]
    assert "the vector of a part is the average of its own feature map" in report.read_text()
