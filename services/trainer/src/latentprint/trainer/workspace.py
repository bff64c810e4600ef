"""The folders of one training: the bundle to be, and beside it the work folder with checkpoint and progress."""

import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentprint.core.bundles import CARD, BundleCard, read_card, save_bundle
from latentprint.core.errors import UsageError
from latentprint.core.files import writing


def work_folder(folder: Path) -> Path:
    """Where a training that will write the bundle `folder` keeps its checkpoint and progress.json."""
    return folder.with_name(f"{folder.name}.work")


@dataclass(frozen=True)
class Workspace:
    """Paths of one training, known by the digest of everything that determines its weights.

    Attributes:
        folder: the bundle to be.
        identity: digest of recipe, options, data, split, seed, epochs, precision and the code that trains.
    """

    folder: Path
    identity: str

    @property
    def checkpoint(self) -> Path:
        """The one checkpoint."""
        return work_folder(self.folder) / "checkpoint.safetensors"

    @property
    def progress(self) -> Path:
        """The progress record."""
        return work_folder(self.folder) / "progress.json"

    def finished(self) -> BundleCard | None:
        """The card of this very training's bundle where it is already there.

        Raises:
            UsageError: the folder holds something else, which is never overwritten.
            DataError: the folder holds a damaged bundle.
        """
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return None
        if not (self.folder / CARD).is_file():
            raise UsageError(f"{self.folder} exists and is no bundle: choose another folder.")
        card = read_card(self.folder)
        if card.training.get("identity") != self.identity:
            raise UsageError(
                f"{self.folder} already holds another bundle (recipe {card.recipe!r}; recipe, options, data, split, "
                "seed, epochs or the code that trains differ): choose another folder, or remove it."
            )
        return card

    def publish(self, model: nn.Module, model_args: Mapping[str, Any], card: BundleCard) -> BundleCard:
        """Write the bundle of a timm model made with `model_args` whole or not at all, then drop the checkpoint.

        Raises:
            DataError: it cannot be written.
        """
        draft = work_folder(self.folder) / "bundle"
        with writing(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(draft, ignore_errors=True)
            plain = deepcopy(model).cpu().to(memory_format=torch.contiguous_format)
            written = save_bundle(plain, draft, card, model_args)
            draft.replace(self.folder)
            self.checkpoint.unlink(missing_ok=True)
            if not any(draft.parent.iterdir()):
                draft.parent.rmdir()
        return written
