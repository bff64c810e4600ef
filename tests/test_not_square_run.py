"""An audit of a served model of images that are not square, from two folders: whole images, views and part crops."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentprint.attack_engine.asking.server_process import served
from latentprint.core.datasets import DatasetSpec
from latentprint.core.partitions import PartSizes
from latentprint.core.user_partitions import UserImages, draw_user_partition
from latentprint.trainer import train

PEOPLE = DatasetSpec("identities", {"users": 16, "images": 6, "height": 32, "width": 16})
TINY = {"identities": 4, "images_of_each": 2, "architecture_options": {"width": 8}}


@pytest.mark.slow
def test_a_served_model_of_images_that_are_not_square_is_audited(
    tmp_path: Path, cluster: None, latentprint: Callable[..., Any]
) -> None:
    dataset = PEOPLE.open()
    split = draw_user_partition(dataset, PartSizes(8, 8, distillation=0), UserImages(3, 3), source=PEOPLE).target
    train("triplet", TINY, PEOPLE, split, tmp_path / "victim", epochs=1, threads=1)
    for folder, ids in (("members", split.trained_ids), ("others", split.ids(member=False))):
        (tmp_path / folder).mkdir()
        for sample, image in zip(ids, dataset.images(np.asarray(ids)), strict=True):
            Image.fromarray(image).save(tmp_path / folder / f"{sample}.png")
    with served({"victim": str(tmp_path / "victim")}) as (url,):
        ended = latentprint(
            "audit", url, "--members", tmp_path / "members", "--non-members", tmp_path / "others",
            "--attack", "partcrop,encodermi", "--attack-option", "partcrop.crops=4",
            "--attack-option", "encodermi.views=2",
            "--workers", 1, "--root", tmp_path / "runs", "--name", "people",
        )  # fmt: skip
    assert ended.code == 0, ended.err
    findings = json.loads(Path(ended.out.strip().splitlines()[-1]).with_name("findings.json").read_text())
    assert [audit["attack"]["name"] for audit in findings["audits"]] == ["partcrop", "encodermi"]
    for audit in findings["audits"]:
        assert "untrained encoder" in {control["name"] for control in audit["controls"]}
