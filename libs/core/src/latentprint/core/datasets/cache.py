"""Decoded data sets kept on disk: decoded once, checked when opened, decoded again where damaged."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import features
from rich.console import Console
from safetensors import SafetensorError
from safetensors.numpy import load, save

from latentprint.core.code_digest import code_digest
from latentprint.core.datasets.base import Dataset
from latentprint.core.datasets.checks import check_size
from latentprint.core.datasets.decoding import DIGESTS, PIXELS, Listing, Shape, decode_to
from latentprint.core.datasets.fingerprints import fingerprint
from latentprint.core.datasets.found_files import PassedOver
from latentprint.core.datasets.image_files import Fit, passed_over_words
from latentprint.core.datasets.mapped import CARD, NAMES, MappedDataset
from latentprint.core.digests import digest_file, digest_json
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically, writing
from latentprint.core.samples import Size
from latentprint.core.text import say

_LABELS = "labels.safetensors"
_VARIABLE = "LATENTPRINT_CACHE"


@dataclass(frozen=True)
class DecodedOptions:
    """Options that all data sets of image files share.

    Attributes:
        path: the archive, or the folder that holds the archives or what was extracted from them.
        side: what every image is brought to, pixels: the side of a square, or (height, width).
        fit: "crop" scales an image until it just covers that and cuts out the centre; "squash" scales each side.
        cache: folder for the decoded images; none: LATENTPRINT_CACHE, else ~/.cache/latentprint.
    """

    path: Path
    side: Size = 224
    fit: Fit = "crop"
    cache: Path | None = None


def open_decoded(
    name: str,
    options: DecodedOptions,
    sources: Sequence[Path],
    opener: Callable[..., Dataset],
    listed: Callable[[], AbstractContextManager[Listing]],
) -> MappedDataset:
    """Open the decoded images of a data set; decode them first where that was not done.

    What is kept is known by its sources (see `fingerprint`), by all options but `path` and `cache`, and by the code
    that decodes. Of several processes that ask for the same, one decodes and the others wait for it; a build that was
    stopped goes on where it stopped.

    Args:
        name: registered name.
        options: the data set's own options.
        sources: the archives, folders and tables that images and labels are made from.
        opener: what opens the data set: its code decides which images there are, in which order and with which labels.
        listed: gives the listing of what is to be decoded; called only where that is needed.

    Raises:
        DataError: a source that is damaged or lacks something, by name; no space or no permission in the cache.
    """
    shape = Shape(check_size(options.side, name), options.fit)
    made_from = _made_from(name, options, sources, opener)
    folder = cache_folder(options.cache) / "datasets" / f"{name}-{digest_json(made_from)[:16]}"
    found = _read(name, folder)
    if found is None:
        with _alone(folder):
            found = _read(name, folder) or _built(name, folder, shape, made_from, listed)
    return found


def cache_folder(given: Path | None) -> Path:
    """The folder for what can be computed again: `given`, else LATENTPRINT_CACHE, else ~/.cache/latentprint."""
    return (given or Path(os.environ.get(_VARIABLE) or "~/.cache/latentprint")).expanduser()


def _made_from(
    name: str, options: DecodedOptions, sources: Sequence[Path], opener: Callable[..., Dataset]
) -> dict[str, Any]:
    chosen = {key: value for key, value in asdict(options).items() if key not in ("path", "cache")}
    code = [code_digest(opener), PIL.__version__, str(features.version("jpg"))]
    prints = [fingerprint(source) for source in sources]
    return {"name": name, "sources": prints, "options": chosen, "code": code}


def _built(
    name: str,
    folder: Path,
    shape: Shape,
    made_from: dict[str, Any],
    listed: Callable[[], AbstractContextManager[Listing]],
) -> MappedDataset:
    """Decode into a draft beside `folder`, which takes its place when it is whole."""
    draft = folder.with_name(f".{folder.name}.draft")
    with writing(folder):
        draft.mkdir(exist_ok=True)
    with listed() as listing:
        if listing.passed_over:
            say(Console(stderr=True), f"Left out of {name}: {passed_over_words(listing.passed_over)}.")
        decode_to(draft, listing, shape, name)
    with writing(folder):
        write_atomically(draft / _LABELS, save(dict(listing.labels)), durable=True)
        names = [name for _, name in listing.files]
        write_atomically(draft / NAMES, json.dumps(names).encode(), durable=True)
        digests = np.load(draft / DIGESTS, mmap_mode="r")
        images = [row.tobytes().hex() for row in digests]
        labels = {key: values.tolist() for key, values in listing.labels.items()}
        card = {
            "made_from": made_from,
            "attributes": dict(listing.attributes),
            "passed_over": [[entry.name, entry.reason] for entry in listing.passed_over],
            "digest": digest_json({"images": images, "labels": labels}),
            "bytes": {PIXELS: (draft / PIXELS).stat().st_size},
            "sha256": {file: digest_file(draft / file) for file in (DIGESTS, _LABELS, NAMES)},
        }
        content = json.dumps({"card": card, "sha256": digest_json(card)}, indent=1)
        write_atomically(draft / CARD, content.encode(), durable=True)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    found = _read(name, folder)
    if found is None:
        raise DataError(f"{folder} was damaged while it was written: check the disk, or choose another with cache.")
    return found


def _read(name: str, folder: Path) -> MappedDataset | None:
    """What lies in `folder`, or nothing where it is missing, partial or damaged."""
    try:
        content = json.loads((folder / CARD).read_bytes())
        card = content["card"]
        whole = digest_json(card) == content["sha256"]
        whole = whole and all((folder / file).stat().st_size == size for file, size in card["bytes"].items())
        if not whole or any(digest_file(folder / file) != digest for file, digest in card["sha256"].items()):
            return None
        pixels, digests = (np.load(folder / file, mmap_mode="r") for file in (PIXELS, DIGESTS))
        labels = load((folder / _LABELS).read_bytes())
        attributes = {key: tuple(names) for key, names in card["attributes"].items()}
        passed_over = tuple(PassedOver(*entry) for entry in card["passed_over"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    unverified = np.zeros(len(pixels), dtype=bool)
    return MappedDataset(name, pixels, digests, labels, card["digest"], folder, unverified, attributes, passed_over)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time builds `folder`; the others wait here."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        stream = (folder.parent / f".{folder.name}.lock").open("ab")
    with stream:
        with writing(folder):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
