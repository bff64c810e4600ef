"""`latentprint audit --question users`: folders of people, a shadow model of the adversary's own, answers for each."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from latentprint.attack_engine.asking.server_process import served
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import split_by_membership
from latentprint.trainer import train

pytestmark = pytest.mark.slow
PEOPLE, IMAGES = 24, 5
TINY = {"architecture": "resnet18_cifar_narrow", "architecture_options": {"width": 8}, "identities": 8}
DATA = DatasetSpec("identities", {"users": 3 * PEOPLE, "images": IMAGES, "height": 16, "width": 8})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Members, non-members and the adversary's own people, a sub-folder each."""
    root, data = tmp_path_factory.mktemp("people"), DATA.open()
    for sample, user in enumerate(data.labels["user"].tolist()):
        folder = root / ("members", "others", "theirs")[user // PEOPLE] / f"person {user}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.images(np.array([sample]))[0]).save(folder / f"{sample}.png")
    return [root / name for name in ("members", "others", "theirs")]


def test_a_served_embedding_is_audited_for_whose_images_it_learned(
    latentprint: Callable[..., object], folders: list[Path], tmp_path: Path
) -> None:
    data = DATA.open()
    split = split_by_membership(data, data.labels["user"] < PEOPLE, source=DATA)
    train("triplet", TINY, DATA, split, tmp_path / "faces", epochs=2, threads=1)
    members, others, theirs = folders
    asked = ("--question", "users", "--attack", "compactness", "--attack-option", "compactness.images=3")
    places = ("--members", members, "--non-members", others, "--auxiliary", theirs, "--shadow-epochs", 2)
    with served({"faces": str(tmp_path / "faces")}) as (url,):
        done = latentprint("audit", url, *asked, *places, "--side", "16x8", "--root", tmp_path / "runs")
    assert done.code == 0, done.err
    report = Path(done.out.strip())
    (audit,) = json.loads(report.with_name("findings.json").read_text())["audits"]
    assert audit["question"] == "users"
    assert audit["attack"]["fitted_on"] == "shadow of faces"
    assert audit["queries"]["sent"] == 2 * PEOPLE * 3
    assert [group["group"] for group in audit["result"]["groups"]] == ["members", "non-members"]
    answers = audit["result"]["users"]
    assert len(answers) == PEOPLE
    assert all(one["name"].startswith("person ") and 0 < one["probability"] < 1 for one in answers)
    table = pd.read_csv(report.with_name("samples.csv"))
    scored = table[table["use"] == "evaluated"].groupby("user")["compactness fitted on shadow of faces score"].nunique()
    assert set(scored.index) == {one["name"] for one in answers}
    assert (scored == 1).all()
