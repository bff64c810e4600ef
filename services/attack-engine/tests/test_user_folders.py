"""People in folders: who is refused before anything is asked, and what the adversary's own are used for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.runs.users import auxiliary_users, samples_of_user_folders
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError
from latentprint.core.splits import KNOWN, Split

IMAGES, SIZE = 3, (16, 8)
NOWHERE = EndpointSpec("grpc://127.0.0.1:1/nobody")  # never asked: the size is given


def people(root: Path, names: list[str], images: int = IMAGES, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            pixels = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def members(tmp_path: Path) -> Path:
    return people(tmp_path / "members", [f"m{i:02}" for i in range(20)], 4, seed=1)


@pytest.fixture
def others(tmp_path: Path) -> Path:
    return people(tmp_path / "others", [f"n{i:02}" for i in range(20)], 5, seed=2)


def audited(members: Path, others: Path) -> tuple[DatasetSpec, Split]:
    return samples_of_user_folders(members, others, NOWHERE, images=IMAGES, side=SIZE, known_fraction=0.5, seed=0)


def test_as_many_images_of_everybody_are_asked_about(members: Path, others: Path) -> None:
    spec, split = audited(members, others)
    assert spec.open().image_size == SIZE
    assert split.units is not None
    assert not split.trained.any()
    unit, counts = np.unique(split.unit, return_counts=True)
    assert set(counts) == {IMAGES}
    assert len(unit) == 40
    assert split.by_unit().member.sum() == 20
    assert (split.by_unit().role == KNOWN).sum() == 20


def test_a_person_in_both_groups_is_named(members: Path, others: Path) -> None:
    people(others, ["m03"], seed=9)
    with pytest.raises(DataError, match="The user m03 is a member and a non-member"):
        audited(members, others)


def test_an_image_in_both_groups_is_named_though_the_people_are_called_otherwise(members: Path, others: Path) -> None:
    (others / "n00" / "copy.png").write_bytes((members / "m00" / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"m00.1.png and .*n00.copy.png are the same image"):
        audited(members, others)


def test_an_image_of_two_people_of_one_group_is_named(members: Path, others: Path) -> None:
    (members / "m05" / "copy.png").write_bytes((members / "m00" / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"m00.1.png and .*m05.copy.png show the same image.*two people"):
        audited(members, others)


def test_a_person_with_too_few_images_is_named(members: Path, others: Path) -> None:
    people(others, ["short"], 2, seed=7)
    with pytest.raises(DataError, match="The user short has 2 images, and 3 of each are asked about"):
        audited(members, others)


def test_images_in_no_sub_folder_are_refused(members: Path, others: Path) -> None:
    (members / "loose.png").write_bytes((members / "m00" / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"members holds images that lie in no sub-folder, such as loose\.png"):
        audited(members, others)


def test_half_of_the_adversarys_people_are_members_of_its_shadow_model(
    members: Path, others: Path, tmp_path: Path
) -> None:
    spec, _ = audited(members, others)
    theirs = people(tmp_path / "theirs", [f"t{i:02}" for i in range(24)], 6, seed=3)
    whole, split = auxiliary_users(theirs, spec, images=IMAGES, seed=0)
    split.check(whole.open())
    rows = split.by_unit()
    assert rows.member.sum() == 12
    assert len(rows.member) == 24
    for unit, member in zip(rows.sample_id, rows.member, strict=True):
        own = split.unit == unit
        assert (~split.trained[own]).sum() == IMAGES
        assert split.trained[own].sum() == (3 if member else 0)


def test_the_adversarys_people_are_others_and_have_enough_images(members: Path, others: Path, tmp_path: Path) -> None:
    spec, _ = audited(members, others)
    few = people(tmp_path / "few", ["a", "b"], 6, seed=4)
    with pytest.raises(DataError, match="few has 2 users; a shadow model needs at least 20"):
        auxiliary_users(few, spec, images=IMAGES, seed=0)
    short = people(tmp_path / "short", [f"t{i:02}" for i in range(20)], 4, seed=5)
    with pytest.raises(DataError, match=r"The user t00 in .*short has 4 images; a shadow model takes 3"):
        auxiliary_users(short, spec, images=IMAGES, seed=0)
    same = people(tmp_path / "same", ["m01", *(f"t{i:02}" for i in range(20))], 6, seed=6)
    with pytest.raises(DataError, match="The user m01 is audited and in"):
        auxiliary_users(same, spec, images=IMAGES, seed=0)
