"""A user's own images as what a victim is trained on: one folder of members, perhaps one of held-out images."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Dataset, DatasetSpec
from latentprint.core.datasets.folders import folders_spec, paired_folders
from latentprint.core.datasets.image_files import list_images, passed_over_words
from latentprint.core.datasets.image_sides import shorter_sides
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import Size, height_width
from latentprint.core.splits import EVALUATION, KNOWN, VALIDATION, Split, split_by_membership
from latentprint.core.text import printable

_LARGEST, _SMALLEST = 224, 32
_MULTIPLE = 16  # two patches of 8, for recipes with views of half the side


@dataclass(frozen=True)
class OwnImages:
    """Folders of a user's own images.

    Attributes:
        images: all of them are members.
        held_out: images that nothing is trained on, as long as the recipe does not learn from held-out samples; then
            half of them are for that, and the other half are the non-members.
        side: what every image is brought to, pixels: the side of a square, or (height, width); None infers it.
        seed: of the draws.
    """

    images: Path
    held_out: Path | None = None
    side: Size | None = None
    seed: int = 0

    def data(self, recipe: str, *, needs_validation: bool, tell: Callable[[str], None]) -> tuple[DatasetSpec, Split]:
        """The data set of these folders and its split.

        Args:
            recipe: the recipe's name, for messages.
            needs_validation: whether it learns from held-out samples too.
            tell: called with what the user should know.

        Raises:
            UsageError: a recipe that needs held-out images, without any.
            DataError: fewer than two images in a folder, or one that does not open.
        """
        if needs_validation and self.held_out is None:
            raise UsageError(f"The recipe {recipe!r} learns from held-out images too: name a folder with --held-out.")
        side = self._side(tell)
        if self.held_out is None:
            spec = DatasetSpec("folder", {"path": str(self.images.resolve()), "side": side})
            return spec, _all_members(spec.open(), self.seed, spec)
        dataset, member = paired_folders(self.images, self.held_out, side)
        spec = folders_spec(self.images, self.held_out, side)
        split = split_by_membership(dataset, member, seed=self.seed, source=spec)
        return spec, _with_validation(split, self.seed) if needs_validation else split

    def _side(self, tell: Callable[[str], None]) -> Size:
        sides = np.concatenate([_sides(root, tell) for root in (self.images, self.held_out) if root is not None])
        side = inferred_side(sides) if self.side is None else self.side
        if self.side is None:
            tell(f"Images are brought to {side} x {side} pixels, after their own sizes; --side says otherwise.")
        shorter = min(height_width(side))
        small = int((sides < shorter).sum())
        if small:
            tell(
                f"Warning: {small} of {len(sides)} images are smaller than {shorter} pixels (the smallest has "
                f"{sides.min()}) and are scaled up, which adds no detail; --side takes a smaller side."
            )
        return side


def inferred_side(sides: NDArray[np.int64]) -> int:
    """The side that images whose shorter sides are `sides`, int64 [N], are brought to, pixels.

    Their median, so that half of them are not scaled up, at most 224, and rounded down to whole patches; at least 32,
    below which the recipes' networks have nothing to look at.
    """
    median = int(np.median(sides))
    return max(_SMALLEST, min(_LARGEST, median // _MULTIPLE * _MULTIPLE))


def _sides(root: Path, tell: Callable[[str], None]) -> NDArray[np.int64]:
    found = list_images(root)
    if found.passed_over:
        tell(f"Left out of {printable(root)}: {passed_over_words(found.passed_over)}.")
    sides = shorter_sides(found.files)
    if len(sides) < 2:
        raise DataError(
            f"{printable(root)} holds one image: a training and its audit need at least two in each folder."
        )
    return sides


def _all_members(dataset: Dataset, seed: int, source: DatasetSpec) -> Split:
    count = len(dataset)
    everyone = np.ones(count, dtype=bool)
    return Split(np.arange(count), everyone, np.full(count, KNOWN), dataset.digest, seed, source)


def _with_validation(split: Split, seed: int) -> Split:
    """Half of the non-members of either role put aside for the training to learn from."""
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(split.ids(member=False, role=role)) for role in (KNOWN, EVALUATION)]
    aside = np.sort(np.concatenate([ids[: len(ids) // 2] for ids in halves]))
    if not all(len(ids) > 1 for ids in halves):
        raise DataError(
            "The recipe learns from half of the held-out images, and the other half are the non-members: --held-out "
            "must hold at least 4."
        )
    kept = ~np.isin(split.sample_id, aside)
    return replace(
        split,
        sample_id=split.sample_id[kept],
        member=split.member[kept],
        role=split.role[kept],
        further={VALIDATION: aside},
    )
