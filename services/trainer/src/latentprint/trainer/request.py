"""What `latentprint train` is asked for: a YAML file's keys, overridden by the command line's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentprint.core.config import from_mapping, load_yaml
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.files import writing
from latentprint.core.partitions import PartSizes
from latentprint.core.samples import Size
from latentprint.core.split_files import read_split, write_split
from latentprint.core.splits import Split, draw_split
from latentprint.core.user_partitions import UserImages, draw_user_partition
from latentprint.core.values import parse_pairs
from latentprint.trainer.device import Precision
from latentprint.trainer.own_images import OwnImages
from latentprint.trainer.plan import DefenceSpec


@dataclass(frozen=True)
class Request:
    """One training as a user states it.

    Attributes:
        recipe: registered name.
        epochs: length of the schedule.
        options: of the recipe.
        data, data_options: the data set; where absent, the one that the split was drawn from.
        split: file of a split; where absent, one is drawn.
        members, non_members: of the split to draw.
        split_seed: of that split; 0 where absent.
        users: images of each user, where the members to draw are users.
        images: folder of the user's own images; all are members unless a split is drawn.
        held_out: folder of images that nobody is trained on.
        side: what the images of these folders are brought to, pixels, or (height, width); absent, it follows from them.
        seed: of the training.
        defences: applied in order.
        device, precision, threads, workers, checkpoint_every, evaluate_every: as for `train`.
    """

    recipe: str
    epochs: int = 200
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    data_options: Mapping[str, Any] = field(default_factory=dict)
    split: Path | None = None
    members: int | None = None
    non_members: int | None = None
    split_seed: int | None = None
    users: UserImages | None = None
    images: Path | None = None
    held_out: Path | None = None
    side: Size | None = None
    seed: int = 0
    defences: Sequence[DefenceSpec] = ()
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    workers: int = 1
    checkpoint_every: int | None = None
    evaluate_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("seed", "split_seed"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}.")
        if self.images is None and (self.held_out is not None or self.side is not None):
            raise UsageError("--held-out and --side belong to --images, the folder of the members.")
        drawn = (self.members, self.non_members, self.users)
        if self.images is not None and (self.data is not None or self.data_options or self.split is not None):
            raise UsageError("--images is the data set itself: leave out --data, --data-option and --split.")
        if self.images is not None and any(one is not None for one in drawn):
            raise UsageError(
                "All of --images are members: leave out --members, --non-members, --trained-images and --probes, or "
                "see --held-out."
            )
        if self.split is not None and any(one is not None for one in (*drawn, self.split_seed)):
            raise UsageError(
                "--split says who is a member: leave out --members, --non-members, --trained-images, --probes and "
                "--split-seed, which draw a split."
            )
        if self.data_options and self.data is None:
            raise UsageError("--data-option is of a data set: name it with --data.")


def read_request(config: Path | None, given: Mapping[str, Any]) -> Request:
    """Merge a YAML file with what the command line gave (None: not given); mappings merge key by key.

    Raises:
        UsageError: an unknown or missing key, a wrong value.
        DataError: the file cannot be read.
    """
    merged = load_yaml(config) if config else {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            merged[key] = {**merged.get(key, {}), **value}
        elif value is not None:
            merged[key] = value
    if "recipe" not in merged:
        raise UsageError("No recipe given: name one, such as `latentprint train mae`, or give --config.")
    return from_mapping(Request, merged, str(config) if config else "train")


def parse_defence(text: str) -> DefenceSpec:
    """Read NAME or NAME:key=value,key=value as a defence. Raises `UsageError` like `parse_pairs`."""
    name, _, options = text.partition(":")
    return DefenceSpec(name, parse_pairs(options.split(","), "--defence") if options else {})


def resolve_data(
    request: Request, drawn: Path, *, needs_validation: bool = False, tell: Callable[[str], None] = lambda text: None
) -> tuple[DatasetSpec, Split]:
    """The data set and the split; one that is drawn here is kept in the file `drawn`.

    Args:
        request: what a user asks for.
        drawn: the file.
        needs_validation: whether the training learns from held-out samples too.
        tell: called with what the user should know.

    Raises:
        UsageError: neither a data set nor a split that knows its own; neither a split nor its sizes; another split
            is kept in `drawn`.
        DataError: a file that cannot be read or written.
    """
    if request.images is not None:
        own = OwnImages(request.images, request.held_out, request.side, request.split_seed or 0)
        spec, split = own.data(request.recipe, needs_validation=needs_validation, tell=tell)
        return spec, _kept(split, drawn)
    given = read_split(request.split) if request.split else None
    source = given.source if given else None
    if request.data:
        source = DatasetSpec(request.data, request.data_options)
    if source is None:
        raise UsageError("No data set given: name one with --data, such as --data digits, or a folder with --images.")
    return source, given or _drawn_split(request, source, drawn)


def _drawn_split(request: Request, source: DatasetSpec, drawn: Path) -> Split:
    if request.members is None or request.non_members is None:
        raise UsageError("Who is a member? Give --split FILE, or --members N and --non-members N to draw one.")
    dataset, seed = source.open(), request.split_seed or 0
    members, others = request.members, request.non_members
    if request.users is not None:
        sizes = PartSizes(members, others, distillation=0)
        split = draw_user_partition(dataset, sizes, request.users, seed=seed, source=source).target
    else:
        split = draw_split(dataset, members=members, non_members=others, seed=seed, source=source)
    return _kept(split, drawn)


def _kept(split: Split, drawn: Path) -> Split:
    """`split`, kept in the file `drawn` for audits. Raises `UsageError` where another one is kept there."""
    if not drawn.exists():
        with writing(drawn):
            write_split(split, drawn)
    elif read_split(drawn).digest != split.digest:
        raise UsageError(f"{drawn} keeps another split than the one asked for: choose another --out, or remove it.")
    return split
