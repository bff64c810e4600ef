"""The samples of a live audit: a split's file, or two folders of images."""

from pathlib import Path

from leakscope.attack_engine.endpoints import EndpointSpec
from leakscope.core.datasets import DatasetSpec
from leakscope.core.datasets.folders import folders_spec, paired_folders
from leakscope.core.errors import UsageError
from leakscope.core.splits import Split, read_split, split_by_membership


def samples_of_split(path: Path) -> tuple[DatasetSpec, Split]:
    """The data set that a split was drawn from, and the split.

    Raises:
        UsageError: the split does not say which data set; DataError: a bad file, a changed data set.
    """
    split = read_split(path)
    split.open_dataset()
    if split.source is None:
        raise UsageError(f"{path} does not say which data set it was drawn from.")
    return split.source, split


def samples_of_folders(
    members: Path, non_members: Path, endpoint: EndpointSpec, *, side: int, known_fraction: float, seed: int
) -> tuple[DatasetSpec, Split]:
    """The images of two folders, resized to `side` pixels (0: the side that the endpoint publishes), and their split.

    Raises:
        UsageError: no side is known; DataError: a file that is no image, an image in both folders.
    """
    side = side or _published_side(endpoint)
    spec = folders_spec(members, non_members, side)
    dataset, member = paired_folders(members, non_members, side)
    return spec, split_by_membership(dataset, member, known_fraction=known_fraction, seed=seed, source=spec)


def _published_side(endpoint: EndpointSpec) -> int:
    with endpoint.open() as opened:
        side = opened.card.image_side
    if side is None:
        raise UsageError(f"{endpoint.url} does not say which image side it was made for: give --side.")
    return side
