"""The samples of a live audit: a split's file, or two folders of images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.findings.results import LeftOut, SampleFolder, SharedImage
from latentprint.attack_engine.questions.membership.exposure import file_of
from latentprint.attack_engine.statistics.exact import FEW
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.datasets.folders import ROOT, folders_spec, paired_folders
from latentprint.core.datasets.found_files import PassedOver
from latentprint.core.datasets.image_files import passed_over_words
from latentprint.core.datasets.near_duplicates import NearDuplicate, near_duplicates
from latentprint.core.datasets.sample_files import SampleFiles
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import Size
from latentprint.core.split_files import read_split
from latentprint.core.splits import Split, split_by_membership
from latentprint.core.text import printable, say

_LISTED = 100  # names that a report holds of what was left out for one reason, or shared images
_SAID = 3


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
    members: Path,
    non_members: Path,
    endpoint: EndpointSpec | None,
    *,
    side: Size,
    known_fraction: float,
    seed: int,
    candidates: Path | None = None,
) -> tuple[DatasetSpec, Split]:
    """The images of two folders, brought to `side`, pixels (0: what `endpoint` publishes), and their split.

    Those of a third, `candidates`, are on neither side: their membership is asked for.

    Raises:
        UsageError: no side is known; DataError: a file that is no image, an image in two folders.
    """
    if not side:
        side = published_side(endpoint)
    if candidates is not None:
        return _with_candidates((members, non_members, candidates), side, known_fraction=known_fraction, seed=seed)
    spec = folders_spec(members, non_members, side)
    dataset, member = paired_folders(members, non_members, side)
    return spec, split_by_membership(dataset, member, known_fraction=known_fraction, seed=seed, source=spec)


def _with_candidates(
    folders: tuple[Path, Path, Path], side: Size, *, known_fraction: float, seed: int
) -> tuple[DatasetSpec, Split]:
    """Members, non-members and candidates as one data set, and its split."""
    spec = DatasetSpec("folders", {"paths": tuple(str(folder.resolve()) for folder in folders), "side": side})
    dataset = spec.open()
    root = dataset.labels[ROOT]
    split = split_by_membership(
        dataset, root == 0, candidate=root == 2, known_fraction=known_fraction, seed=seed, source=spec
    )
    return spec, split


def _name_of(dataset: Dataset, sample: int) -> str:
    return file_of(dataset, sample) or f"#{sample}"


def published_side(endpoint: EndpointSpec | None) -> Size:
    """The size of the images that an endpoint was made for, pixels. Raises `UsageError` where none is known."""
    if endpoint is None:
        raise UsageError("Images of folders for a model in memory: give side, the pixels that they are brought to.")
    with endpoint.open() as opened:
        side = opened.card.image_side
    if side is None:
        raise UsageError(f"{endpoint.url} does not say which image side it was made for: give --side.")
    return side


def inspect_samples(
    attacks: Sequence[Attack], dataset: DatasetSpec, split: Split, console: Console
) -> tuple[SharedImage, ...]:
    """Look at the samples before anything is asked: say what was left out of them, and refuse what cannot be judged.

    Returns:
        The images that lie on both sides.

    Raises:
        DataError: see `check_labels`.
    """
    opened = dataset.open()
    if opened.files is not None and opened.files.roots:
        check_labels(attacks, opened.files, console)
        _say_left_out(opened.files, console)
    shared = shared_images(opened, split)
    if shared:
        _say_shared(shared, console)
    if len(split.candidates):
        _say_known(opened, split, console)
    if 0 < len(split.candidates) < FEW:
        say(
            console,
            f"How many of the candidates were used will not be estimated: that takes at least {FEW}, and there are "
            f"{len(split.candidates)}. What is said of each one stands.",
        )
    return shared


def check_labels(attacks: Sequence[Attack], files: SampleFiles, console: Console) -> None:
    """Refuse attacks that read classes where folders of images give none, or where a class tells the sides apart.

    Where no attack reads them, classes do not matter: that folders have different ones is said, no more.

    Raises:
        DataError: no class folders, or only in one of two folders, or not the same ones.
    """
    readers = [attack.name for attack in attacks if attack.reading.reads_labels]
    alike = len(set(files.classes)) == 1
    if not readers:
        if not alike and not any(attack.reading.of_units for attack in attacks):
            say(console, f"Class folders are not used, for no attack reads labels: {_classes_words(files)}.")
        return
    if not any(files.classes):
        roots = f"{' and '.join(printable(root) for root in files.roots)} {'have' if len(files.roots) > 1 else 'has'}"
        raise DataError(
            f"{', '.join(readers)} reads each image's class, and {roots} no class folders: sort the images into "
            "folders named after their classes, or leave the attack out."
        )
    if not alike:
        raise DataError(
            f"{', '.join(readers)} reads each image's class, which here tells members from non-members: "
            f"{_classes_words(files)}. Sort the images of both into folders of the same names, or leave the attack out."
        )


def sample_folders(files: SampleFiles) -> Iterator[SampleFolder]:
    """The folders of a data set with what was left out of them, for the report."""
    for index, (root, passed_over) in enumerate(zip(files.roots, files.passed_over, strict=True)):
        yield SampleFolder(printable(root, 1000), int((files.root == index).sum()), tuple(_left_out(passed_over)))


def shared_images(dataset: Dataset, split: Split) -> tuple[SharedImage, ...]:
    """Members that show the same image as a non-member does: the same pixels, or a likely re-encoding."""
    pairs = near_duplicates(dataset, split.ids(member=True), split.ids(member=False))
    return tuple(_shared(dataset, pair) for pair in pairs)


def _say_left_out(files: SampleFiles, console: Console) -> None:
    for root, passed_over in zip(files.roots, files.passed_over, strict=True):
        if passed_over:
            say(console, f"Left out of {printable(root)}: {passed_over_words(passed_over)}.")


def _say_shared(shared: Sequence[SharedImage], console: Console) -> None:
    first = "; ".join(f"{one.member} and {one.non_member}" for one in shared[:_SAID])
    more = f"; and {len(shared) - _SAID} more" if len(shared) > _SAID else ""
    count = "1 member shows" if len(shared) == 1 else f"{len(shared)} members show"
    say(
        console,
        f"Warning: {count} the image of a non-member, or a re-encoding of it: {first}{more}. "
        "Membership means nothing for these: take them out of one side.",
    )


def _say_known(dataset: Dataset, split: Split, console: Console) -> None:
    """Say which candidates show an image, likely encoded anew, whose membership is known."""
    known = near_duplicates(dataset, split.candidates, split.sample_id)
    if known:
        count = "1 candidate shows" if len(known) == 1 else f"{len(known)} candidates show"
        pairs = [f"{_name_of(dataset, one.first)} and {_name_of(dataset, one.second)}" for one in known[:_SAID]]
        more = f"; and {len(known) - _SAID} more" if len(known) > _SAID else ""
        say(
            console,
            f"Warning: {count} an image whose membership is known, or a re-encoding of it: {'; '.join(pairs)}{more}. "
            "These say little of the collection: take them out of the candidates.",
        )


def _left_out(entries: Sequence[PassedOver]) -> Iterator[LeftOut]:
    for reason in dict.fromkeys(entry.reason for entry in entries):
        names = [printable(entry.name) for entry in entries if entry.reason == reason]
        yield LeftOut(reason, len(names), tuple(names[:_LISTED]))


def _shared(dataset: Dataset, pair: NearDuplicate) -> SharedImage:
    first, second = (_name_of(dataset, sample) for sample in (pair.first, pair.second))
    return SharedImage(first, second, pair.same_pixels)


def _classes_words(files: SampleFiles) -> str:
    """What class folders each root has that others have not, and whether that is a matter of case."""
    common = set(files.classes[0]).intersection(*files.classes)
    sides = [
        f"{printable(root)} has {_names([name for name in classes if name not in common]) if classes else 'none'}"
        for root, classes in zip(files.roots, files.classes, strict=True)
    ]
    folded = {frozenset(name.casefold() for name in classes) for classes in files.classes}
    case = " (they differ by case alone)" if len(folded) == 1 else ""
    shared = f" beside {len(common)} that all have" if common else ""
    return f"{' and '.join(sides)}{shared}{case}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name, 60) for name in names[: _SAID * 2])
    more = f" and {len(names) - _SAID * 2} more" if len(names) > _SAID * 2 else ""
    return f"the class folders {shown}{more}" if names else "no other"
