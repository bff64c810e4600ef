"""Tiny archives in the official layouts, and a naive oracle of what is in them."""

import io
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def decoded_images_stay_in_the_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LATENTPRINT_CACHE", str(folder))
    return folder


def jpeg(seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    """A JPEG of width x height."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).convert(mode).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def tar_bytes(files: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    """Write `files` as the kind of archive that the suffix of `path` says, or as a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        path.write_bytes(zip_bytes(files))
    elif path.suffix == ".tar":
        path.write_bytes(tar_bytes(files))
    elif path.suffix == ".gz":
        path.write_bytes(tar_bytes(files, "w:gz"))
    else:
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def naive(content: bytes, side: int, fit: str = "crop") -> np.ndarray:
    """The picture scaled with its shorter side, then the centre cut out, in plain steps."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if fit == "squash":
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + short, top + short)))


@pytest.fixture
def official() -> SimpleNamespace:
    return SimpleNamespace(jpeg=jpeg, pack=pack, naive=naive, tar_bytes=tar_bytes, zip_bytes=zip_bytes)
