"""What lies in a user's folder beside plain images: links of every kind, litter, and names that are no text."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets import DatasetSpec, paired_folders
from latentprint.core.datasets.found_files import AGAIN, CIRCLE, HIDDEN, LITTER, NO_FILE, NOWHERE, find_files
from latentprint.core.errors import DataError


def image(path: Path | str, seed: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    with open(path, "wb") as stream:
        Image.fromarray(pixels).save(stream, "PNG")


def found(root: Path) -> tuple[list[str], dict[str, str]]:
    listed = find_files(root)
    return ["/".join(parts) for parts in listed.parts], {one.name: one.reason for one in listed.passed_over}


def opened(root: Path):
    return DatasetSpec("folder", {"path": str(root), "side": 8}).open()


def test_images_behind_a_link_to_a_folder_are_samples(tmp_path: Path) -> None:
    image(tmp_path / "disk" / "deep" / "a.png", 0)
    image(tmp_path / "disk" / "b.png", 1)
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "cats").symlink_to(tmp_path / "disk")
    dataset = opened(tmp_path / "members")
    assert len(dataset) == 2
    assert dataset.files.names == ("cats/b.png", "cats/deep/a.png")
    assert dataset.files.classes == (("cats",),)
    assert dataset.files.roots == (tmp_path / "members",)


def test_a_link_that_leads_back_is_named_and_the_walk_ends(tmp_path: Path) -> None:
    root = tmp_path / "above" / "members"
    image(root / "cat" / "a.png", 0)
    image(tmp_path / "above" / "others" / "b.png", 1)
    image(tmp_path / "disk" / "c.png", 2)
    (root / "self").symlink_to(".")
    (root / "cat" / "up").symlink_to("..")
    (root / "parent").symlink_to(tmp_path / "above")  # would make members of the non-members beside it
    (root / "slash").symlink_to("/")
    (root / "disk").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(root)
    (tmp_path / "disk" / "above").symlink_to(tmp_path / "above")
    (root / "round").symlink_to("round")
    names, passed_over = found(root)
    assert names == ["cat/a.png", "disk/c.png"]
    circles = ["self", "cat/up", "parent", "slash", "disk/back", "disk/above"]
    assert passed_over == {**dict.fromkeys(circles, CIRCLE), "round": NOWHERE}


def test_what_two_links_lead_to_is_read_once_and_its_own_name_wins(tmp_path: Path) -> None:
    root, disk = tmp_path / "members", tmp_path / "disk"
    image(root / "zoo" / "a.png", 0)
    image(disk / "sub" / "b.png", 1)
    for name, target in {
        "alias": root / "zoo",
        "first": disk / "sub",
        "second": disk,
        "third": disk / "sub",
        "one.png": root / "zoo" / "a.png",
        "two.png": disk / "sub" / "b.png",
    }.items():
        (root / name).symlink_to(target)
    names, passed_over = found(root)
    assert names == ["first/b.png", "zoo/a.png"]
    assert passed_over == dict.fromkeys(["alias", "one.png", "second/sub", "third", "two.png"], AGAIN)


def test_litter_is_named_and_suffixes_may_have_any_case(tmp_path: Path) -> None:
    for i, name in enumerate(["A.PNG", "b.PnG", "c", "sub/d.Jpeg"]):
        image(tmp_path / name, i)
    for name in ("Thumbs.db", "DESKTOP.INI", ".DS_Store", "._A.PNG", "sub/Icon\r"):
        (tmp_path / name).write_bytes(b"not an image")
    image(tmp_path / "__MACOSX" / "x.png", 9)
    image(tmp_path / ".cache" / "y.png", 9)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe")
    names, passed_over = found(tmp_path)
    assert names == ["A.PNG", "b.PnG", "c", "sub/d.Jpeg"]
    litter = dict.fromkeys(["Thumbs.db", "DESKTOP.INI", "sub/Icon\r", "__MACOSX"], LITTER)
    hidden = dict.fromkeys([".DS_Store", "._A.PNG", ".cache"], HIDDEN)
    assert passed_over == {**litter, **hidden, "gone.png": NOWHERE, "pipe": NO_FILE}


def test_a_folder_of_litter_says_what_it_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / ".x").write_text("")
    with pytest.raises(DataError, match=r"holds no images \(1 hidden: \.x; 1 a link to nothing: gone\.png\)"):
        opened(tmp_path)


@pytest.mark.parametrize("shared", ["same", "inside", "linked", "around"])
def test_two_roots_that_share_a_folder_are_refused(tmp_path: Path, shared: str) -> None:
    members, others = tmp_path / "in", tmp_path / "out"
    image(members / "m" / "a.png", 0)
    image(others / "o" / "b.png", 1)
    image(tmp_path / "disk" / "c.png", 2)
    if shared == "same":
        members = others
    elif shared == "inside":
        others = members / "m"
    elif shared == "around":
        (others / "all").symlink_to(members / "m")
    else:
        for root in (members, others):
            (root / "linked").symlink_to(tmp_path / "disk")
    with pytest.raises(DataError, match="are one folder, read for"):
        paired_folders(members, others, 8)


def test_names_that_are_no_text_work_and_are_shown_escaped(tmp_path: Path) -> None:
    names = [
        b"caf\xe9.png",
        b"two\nlines.png",
        b"\x1b[31mred.png",
        "\u202egnp.exe".encode(),
        b"=cmd.png",
        b"a b?%20.png",
    ]
    root = os.fsencode(tmp_path) + b"/r\xfft"
    os.mkdir(root)
    for seed, name in enumerate(names):
        image(os.fsdecode(root + b"/" + name), seed)
    dataset = opened(Path(os.fsdecode(root)))
    shown = [dataset.files.shown(i) for i in range(len(dataset))]
    assert all(text.isprintable() and text.encode() for text in shown)
    assert {r"caf\xe9.png", r"two\nlines.png", r"\x1b[31mred.png", r"\u202egnp.exe", "=cmd.png"} < set(shown)
    with open(root + b"/broken\xff.png", "wb") as stream:
        stream.write(b"\x89PNG no")
    with pytest.raises(DataError, match=r"r\\xfft/broken\\xff\.png is not a PNG"):
        opened(Path(os.fsdecode(root)))
    with pytest.raises(DataError, match=r"No such folder of images: .*\\xfe"):
        opened(Path(os.fsdecode(bytes(tmp_path) + b"/\xfe")))


def test_classes_are_given_to_all_folders_or_to_none(tmp_path: Path) -> None:
    image(tmp_path / "classed" / "cat" / "a.png", 0)
    image(tmp_path / "classed" / "dog" / "b.png", 1)
    image(tmp_path / "flat" / "c.png", 2)
    image(tmp_path / "level" / "d.png", 3)
    mixed, _ = paired_folders(tmp_path / "classed", tmp_path / "flat", 8)
    assert mixed.files.classes == (("cat", "dog"), ())
    with pytest.raises(DataError, match="no label 'class': its labels are root"):
        mixed.labels["class"]
    plain, _ = paired_folders(tmp_path / "level", tmp_path / "flat", 8)
    assert plain.labels["class"].tolist() == [0, 0]
    assert plain.files.classes == ((), ())
