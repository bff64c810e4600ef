"""Encoders that were trained elsewhere, made victim bundles: an architecture by name, its weights from a file."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.channels import Channels
from latentprint.core.digests import digest_file
from latentprint.core.encoders import Encoder, vector_features
from latentprint.core.errors import DataError, UsageError
from latentprint.core.files import writing
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR
from latentprint.core.samples import Size, blank_samples, height_width
from latentprint.core.text import printable
from latentprint.core.versions import versions
from latentprint.trainer.weights_files import State, choose_state, read_states

IMPORTED = "imported"
_NAMED = 8
_COUNTER = "num_batches_tracked"  # of batch norms; nothing that answers depend on, and old files lack it


@dataclass(frozen=True)
class Architecture:
    """How the encoder is made.

    Attributes:
        name: timm's, or one of latentprint's own.
        classes: of the classifier that is kept; 0 drops it.
        options: further keyword arguments of the architecture.
        side: of the images that it was trained on, pixels, or their (height, width).
        mean, std: of red, green and blue, that its images in [0, 1] were normalised with.
    """

    name: str
    classes: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    side: Size | None = None
    mean: Channels | None = None
    std: Channels | None = None

    def build(self) -> nn.Module:
        """The model with fresh weights.

        Raises:
            UsageError: no such architecture, arguments that it does not take, or images that are not described.
        """
        architectures.register()
        architectures.check_known(self.name)
        if self.classes < 0 or (self.side is not None and min(height_width(self.side)) < 1):
            raise UsageError(f"--size must be at least 1 and --classes at least 0, not {self.side} and {self.classes}.")
        size = None if self.side is None else (3, *height_width(self.side))
        overlay = {"input_size": size, "mean": self.mean, "std": self.std}
        given = {key: value for key, value in overlay.items() if value is not None}
        try:
            model: nn.Module = timm.create_model(
                self.name, num_classes=self.classes, pretrained_cfg_overlay=given, **self.options
            )
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise UsageError(f"{self.name!r} cannot be made with {dict(self.options)}: {_short(error)}") from None
        if vector_features(model) is not None and given:
            raise UsageError(f"{self.name!r} takes vectors as they are: leave out --size, --mean and --std.")
        if vector_features(model) is None and len(given) < len(overlay):
            raise UsageError(
                f"{self.name!r} takes images: give --size, --mean and --std as it was trained, the last two for pixels "
                "scaled to [0, 1]."
            )
        return model


@dataclass(frozen=True)
class Chosen:
    """What is taken of a file.

    Attributes:
        key: where its state dict is nested; None for the only one.
        prefix: what the names of the encoder's tensors begin with; None finds it.
        drop: beginnings of names, after the prefix, that are left out.
    """

    key: str | None = None
    prefix: str | None = None
    drop: Sequence[str] = ()


WHOLE = Chosen()


@dataclass(frozen=True)
class Imported:
    """A bundle that was made.

    Attributes:
        card: its card.
        shapes: of each output for one sample.
        key, prefix: where in the file the tensors were.
        taken: how many there were.
        left_out: names of tensors that were not.
    """

    card: BundleCard
    shapes: Mapping[str, tuple[int, ...]]
    key: str
    prefix: str
    taken: int
    left_out: tuple[str, ...]


def import_encoder(architecture: Architecture, weights: Path, folder: Path, chosen: Chosen = WHOLE) -> Imported:
    """Write the victim bundle `folder`, absent or empty, of an architecture with the weights of a file.

    Raises:
        UsageError: see `Architecture.build` and `choose_state`; a folder that holds something.
        DataError: see `read_states`; weights that do not fit the architecture, key by key; weights that are not finite.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{printable(folder)} exists already: choose another folder with --out, or remove it.")
    model = architecture.build()
    key, state = choose_state(read_states(weights), chosen.key, weights)
    prefix = _prefix(state, model.state_dict(), weights) if chosen.prefix is None else chosen.prefix
    inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    dropped = tuple(name for name in inside if _begins(name, (*_classifier(model, architecture.classes), *chosen.drop)))
    fitting = {name: value for name, value in inside.items() if name not in dropped}
    _check_fit(fitting, model.state_dict(), architecture.name, weights)
    model.load_state_dict(fitting, strict=False)
    outside = tuple(name for name in state if not name.startswith(prefix))
    origin = {"weights": weights.name, "weights_digest": digest_file(weights), "key": key, "prefix": prefix}
    card, shapes = _written(model, architecture, folder, origin)
    return Imported(card, shapes, key, prefix, len(fitting), (*(prefix + name for name in dropped), *outside))


def _written(
    model: nn.Module, architecture: Architecture, folder: Path, origin: Mapping[str, str]
) -> tuple[BundleCard, Mapping[str, tuple[int, ...]]]:
    """Write the bundle whole or not at all; its card, and the shape of each output."""
    features = vector_features(model)
    outputs = (EMBEDDING, *([] if features else [FEATURE_MAP]), *([POSTERIOR] if architecture.classes else []))
    card = BundleCard(
        recipe=IMPORTED,
        outputs=outputs,
        image_size=None if features else architecture.side,
        mean=architecture.mean or (0.0,),
        std=architecture.std or (1.0,),
        options={"architecture": architecture.name, **architecture.options},
        training=dict(origin),
        versions=versions("torch", "timm", "latentprint-core", "latentprint-trainer"),
        features=features,
    )
    _check_answers(model, card)
    draft = folder.with_name(f"{folder.name}.draft")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        save_bundle(model, draft, card, {"num_classes": architecture.classes, **architecture.options})
        encoder, written = open_bundle(draft)
        draft.replace(folder)
    return written, encoder.shapes(written.sample_shape)


def _check_answers(model: nn.Module, card: BundleCard) -> None:
    """Raise where the model does not answer samples of the shape that was given, or not with numbers."""
    try:
        encoder = Encoder(model, card.outputs, card.mean, card.std)
        answers = encoder.answer(blank_samples(2, card.sample_shape), card.outputs)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UsageError(
            f"The model does not answer samples of the shape {card.sample_shape}: {_short(error)}"
        ) from None
    for name, values in answers.items():
        if not torch.from_numpy(values).isfinite().all():
            raise DataError(f"The weights answer with a {name} that is not finite: they are damaged, or diverged.")


def _prefix(state: State, wanted: State, weights: Path) -> str:
    """What comes before the architecture's own names, as "module." does: where most of them are found.

    Raises:
        UsageError: two places hold as many; DataError: no name of the architecture is there.
    """
    counts: Counter[str] = Counter()
    for name in state:
        starts = [0, *(place + 1 for place, letter in enumerate(name) if letter == ".")]
        counts.update(name[:start] for start in starts if name[start:] in wanted)
    if not counts:
        raise DataError(
            f"{printable(weights)} holds nothing of this architecture: its names are {_listed(sorted(state))}; the "
            f"architecture's are {_listed(sorted(wanted))}."
        )
    (best, most), *others = counts.most_common()
    tied = [prefix for prefix, count in others if count == most]
    if tied:
        names = ", ".join(repr(printable(prefix)) for prefix in (best, *tied[:_NAMED]))
        raise UsageError(f"{printable(weights)} holds several encoders: name one with --prefix, of {names}.")
    return best


def _classifier(model: nn.Module, classes: int) -> tuple[str, ...]:
    """Beginnings of the names of the classifier that is dropped; none where it is kept."""
    config: Any = model.pretrained_cfg
    names = config.get("classifier") or ()
    return () if classes else tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _begins(name: str, beginnings: Sequence[str]) -> bool:
    return any(name.startswith(beginning) for beginning in beginnings)


def _check_fit(state: State, wanted: State, architecture: str, weights: Path) -> None:
    """Raise `DataError` where names or shapes differ, key by key."""
    missing = [name for name in wanted if name not in state and not name.endswith(_COUNTER)]
    unexpected = [name for name in state if name not in wanted]
    shapes = [
        f"{printable(name)} {[*value.shape]} for {[*wanted[name].shape]}"
        for name, value in state.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    told = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    if not any(told.values()):
        return
    parts = [f"{len(names)} {what}: {_listed(names)}" for what, names in told.items() if names]
    raise DataError(
        f"{printable(weights)} does not fit {architecture!r}. {'; '.join(parts)}. Give the architecture, --size and "
        "--model-arg that it was trained with, or leave unexpected names out with --drop."
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def _short(error: Exception) -> str:
    return printable(" ".join(str(error).split()), 300)
