"""Audits of folders as people keep them: every sample is found again by its file, and no report is written over."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from mlflow import MlflowClient
from PIL import Image

from latentprint.attack_engine.asking.server_process import served
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
FOLDERS = tuple[Path, Path]
SIDES = ("--members", "--non-members")


def on(folders: FOLDERS) -> list[str]:
    return [str(word) for pair in zip(SIDES, folders, strict=True) for word in pair]


@pytest.fixture
def kept_folders(image_folders: FOLDERS, tmp_path: Path) -> FOLDERS:
    """The images of `image_folders` behind a link, under names that are no text, among litter, one of them twice."""
    members, others = tmp_path / os.fsdecode(b"my m\xe9mbers [1]"), tmp_path / "others?%20"
    for root in (members, others):
        root.mkdir()
    (members / "disk").symlink_to(image_folders[0])
    for path in sorted(image_folders[1].iterdir()):
        (others / path.name).write_bytes(path.read_bytes())
    (members / "Thumbs.db").write_bytes(b"litter")
    (members / "gone.png").symlink_to("nowhere")
    for name in (b"caf\xe9.png", b"=1+1.png", b"two\nlines.png", b"<b>[red]\x1b[31m.png"):
        source = others / f"{(hash(name) % 40) + 40:03}.png"
        (others / os.fsdecode(name)).write_bytes(source.read_bytes())
    Image.open(image_folders[0] / "007.png").save(others / "again.jpg", quality=90)
    return members, others


def test_every_sample_is_known_by_its_file_and_no_report_is_written_over(
    latentprint: Callable[..., object], endpoint: str, kept_folders: FOLDERS, tmp_path: Path
) -> None:
    root, asked = tmp_path / "runs", tmp_path / "collection"
    asked.mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)):
        Image.fromarray(image).save(asked / f"asked-{number}.png")
    command = ["audit", endpoint, *on(kept_folders), "--untrained", "none", "--workers", 1, "--root", root]
    command += ["--candidates", asked, "--fdr", 0.2]
    done = latentprint(*command, "--attack", "supervisedmi,encodermi-t", "--attack-option", "encodermi-t.views=2")
    assert done.code == 0, done.err
    report = Path(done.out.strip().splitlines()[-1])
    assert report.parent.parent == root / "audit"
    told = done.err[: done.err.index("images to ask")]
    assert "1 left there by an operating system: Thumbs.db; 1 a link to nothing: gone.png" in " ".join(told.split())
    assert "disk/007.png and again.jpg" in told
    check_table(report)
    page = report.read_text(encoding="utf-8")
    assert "disk/0" in page
    assert r"my m\xe9mbers [1]" in page
    assert "Thumbs.db" in page
    assert "again.jpg" in page
    assert "\x1b" not in page
    assert "How much of the candidates is in it" in page

    first = report.read_bytes()
    other = Path(latentprint(*command, "--attack", "encodermi-t", "--attack-option", "encodermi-t.views=2").out.strip())
    assert other.parent.parent == report.parent.parent
    assert other != report
    assert report.read_bytes() == first
    client = MlflowClient(f"sqlite:///{root / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("audit").experiment_id])
    whole = [run for run in runs if run.data.tags.get("latentprint.kind") == "experiment"]
    assert len(whole) == 2
    for run in whole:
        assert [item.path for item in client.list_artifacts(run.info.run_id, "samples")] == ["samples/samples.csv"]


def check_table(report: Path) -> None:
    """The table beside `report` holds every sample, with the scores that its findings name."""
    content = report.with_name("samples.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content)))
    assert len(rows) == 40 + 50 + 5 + 6
    asked = [row for row in rows if row["use"] == "candidate"]
    assert {row["file"] for row in asked} == {f"asked-{number}.png" for number in range(6)}
    assert all(0 < float(row["encodermi-t probability"]) < 1 for row in asked)
    names = {row["file"] for row in rows}
    assert {
        r"caf\xe9.png",
        "'=1+1.png",
        r"two\nlines.png",
        r"<b>[red]\x1b[31m.png",
        "disk/000.png",
        "again.jpg",
    } < names
    assert {row["group"] for row in rows if row["file"].startswith("disk/")} == {"member"}
    by_sample = {int(row["sample_id"]): row for row in rows}
    for audit in json.loads(report.with_name("findings.json").read_text())["audits"]:
        for exposed in (*audit["result"]["most_exposed"], *audit["result"]["least_exposed"]):
            row = by_sample[exposed["sample_id"]]
            assert float(row[f"{audit['attack']['name']} score"]) == pytest.approx(exposed["score"])
            assert float(row[f"{audit['attack']['name']} percentile"]) == pytest.approx(exposed["percentile"])
            assert 0 < float(row[f"{audit['attack']['name']} p"]) <= 1
            assert row["file"].removeprefix("'") == exposed["file"]
    table = pd.read_parquet(report.with_name("samples.parquet"))
    assert table["sample_id"].tolist() == [int(row["sample_id"]) for row in rows]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """An endpoint that was trained on nothing and tells three kinds of image apart; images, and the kind of each."""
    architectures.register()
    folder = tmp_path_factory.mktemp("colours") / "colours"
    torch.manual_seed(0)
    model = timm.create_model("resnet18_cifar_narrow", num_classes=3).eval()
    images = DatasetSpec("composites", {"count": 400}).open().images(np.arange(400))
    inputs = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        features = model.forward_head(model.forward_features(inputs), pre_logits=True)
        _, _, directions = torch.pca_lowrank(features, q=3)
        scale = 2 / (features @ directions).std(dim=0)
        model.fc.weight.copy_((directions * scale).T)
        model.fc.bias.copy_(-(features.mean(dim=0) @ directions) * scale)
        kinds = model(inputs).argmax(dim=1).numpy()
    card = BundleCard("untrained", ("posterior",), 32, (0.5,) * 3, (0.25,) * 3)
    save_bundle(model, folder, card, {"num_classes": 3})
    with served({"colours": str(folder)}) as (url,):
        yield url, images, kinds


def test_class_folders_on_one_side_are_no_leak(
    latentprint: Callable[..., object], colours: tuple[str, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    """With a class made up for the flat side, mba-m-entropy tells these sides apart at an AUC of .84."""
    url, images, kinds = colours
    assert np.bincount(kinds).min() > 60
    for row, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        side, colour = ("in" if row % 2 else "out"), ("red", "green", "blue")[kind]
        for path in (tmp_path / f"classed-{side}" / colour, tmp_path / f"flat-{side}"):
            path.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path / f"{row:03}.png")
    audit = ["audit", url, "--untrained", "none", "--workers", 1, "--root", tmp_path / "runs"]
    mixed = on((tmp_path / "classed-in", tmp_path / "flat-out"))
    refused = latentprint(*audit, *mixed, "--attack", "st,mba-m-entropy")
    assert refused.code == 3
    assert "mba-m-entropy reads each image's class" in refused.err
    assert "has the class folders blue, green, red and" in refused.err
    assert "Traceback" not in refused.err
    assert not list((tmp_path / "runs").rglob("shard-*.parquet"))

    alike = on((tmp_path / "classed-in", tmp_path / "classed-out"))
    sound = latentprint(*audit, *alike, "--attack", "mba-m-entropy")
    assert sound.code == 0, sound.err
    assert interval(sound.out)[0] < 0.5 < interval(sound.out)[1]
    unread = latentprint(*audit, *mixed, "--attack", "st")
    assert unread.code == 0, unread.err
    assert "Class folders are not used" in unread.err
    assert interval(unread.out)[0] < 0.5 < interval(unread.out)[1]


def interval(out: str) -> tuple[float, float]:
    """Of the only audit's AUC."""
    findings = json.loads(Path(out.strip().splitlines()[-1]).with_name("findings.json").read_text())
    found = findings["audits"][0]["result"]["evaluation"]["auc"]["interval"]
    return found["low"], found["high"]
