"""An attack: signals, and the inference model that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, cast

import numpy as np

from latentprint.attack_engine.attacks import ATTACKS
from latentprint.attack_engine.attacks.definition import AttackDefinition
from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference import INFERENCE
from latentprint.attack_engine.inference.base import InferenceModel
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.over_draws import OverDraws
from latentprint.attack_engine.signals.signal import InformedSignal, Outputs, ShapedSignal, Signal, Values, suited
from latentprint.core.config import from_mapping
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.views.augmentations import Augmentation

_CHANNELS = "channels"


@dataclass(frozen=True)
class Attack:
    """An attack ready to run: several signals are concatenated in order.

    Where it has a `reading`, `signals` are what that asks, and the inference model is fitted to what it reads.
    """

    name: str
    summary: str
    source: str
    signals: tuple[Signal, ...]
    inference: InferenceModel
    curves: Mapping[str, tuple[str, str, str]]
    reading: Reading | None = None

    @property
    def options(self) -> list[object]:
        """All of it that scores depend on, as plain values: no name, no summary, no word of a figure."""
        return [repr(self.signals), repr(self.inference), repr(self.reading), sorted(self.curves)]

    @property
    def parts(self) -> tuple[type, ...]:
        """The classes that it computes with, for `code_digest`."""
        reading = () if self.reading is None else (type(self.reading),)
        return (*map(type, self.signals), type(self.inference), *reading)

    @property
    def unfitted(self) -> bool:
        """Whether its decision is known beforehand, so that it needs no sample of known membership."""
        return isinstance(self.inference, Fixed)

    @property
    def reads_labels(self) -> bool:
        """Whether what it reads of a sample depends on the sample's class."""
        return self.reading is not None and self.reading.reads_labels

    @property
    def over_draws(self) -> OverDraws:
        """What is fitted to `features`."""
        return OverDraws(self.inference)

    def features(self, parts: Sequence[Values], queries: int | None = None) -> Values | None:
        """What the inference model reads: the signals' features side by side, float32 [S, R, F].

        Args:
            parts: extracted values float32 [S, K] of each signal, in order.
            queries: images a sample; None for all. A combination cannot do with fewer, and gives None.
        """
        if queries is not None and len(parts) > 1:
            return None
        features = [signal.features(part, queries) for signal, part in zip(self.signals, parts, strict=True)]
        given = [part for part in features if part is not None]
        if len(given) < len(features):
            return None
        rounds = max(part.shape[1] for part in given)
        return np.concatenate([np.repeat(p, rounds // p.shape[1], axis=1) for p in given], axis=2)

    def read(self, evidence: Evidence) -> Values:
        """What the inference model of an attack with a reading reads, float32 [S, 1, F]."""
        if self.reading is None:
            raise ValueError(f"{self.name} has no reading")
        return self.reading.features(evidence)

    def against(self, augmentation: Augmentation) -> "Attack":
        """The attack with full knowledge of a victim's training augmentation, where it was asked for."""
        return replace(self, signals=tuple(_informed(signal, augmentation) for signal in self.signals))

    def on(self, outputs: Outputs, url: str) -> "Attack":
        """The attack as it is asked of the endpoint at `url` with these outputs; the summary says what that decided.

        Raises:
            UsageError: see `suited`.
        """
        signals = tuple(suited(signal, outputs, url) for signal in self.signals)
        choices = [signal.choice for signal in signals if isinstance(signal, ShapedSignal) and signal.choice]
        return replace(self, signals=signals, summary="; ".join([self.summary, *choices]))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that an endpoint must offer, each once."""
        return tuple(dict.fromkeys(output for signal in self.signals for output in signal.outputs))


@dataclass(frozen=True)
class AttackChoice:
    """An attack as asked for.

    Attributes:
        name: a registered name, or several joined with "+" (their signals are concatenated).
        options: the signal's options; of a combination, by attack name.
        inference: a registered inference model; "" keeps the attack's default.
        inference_options: the inference model's options.
        label: what the report calls it; "" is `name`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inference: str = ""
    inference_options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def build(self, seed: int) -> Attack:
        """Build the attack; `seed` is the signals' seed unless an option sets it.

        Raises:
            UsageError: an unknown attack, option or inference model, by name and with the nearest known one.
        """
        parts = self.name.split("+")
        entries = [ATTACKS.entry(part) for part in parts]
        if len(set(parts)) < len(parts):
            raise UsageError(f"The attack {self.name!r} names a part twice; each signal counts once.")
        options = {self.name: self.options} if len(parts) == 1 else self.options
        for name in options:
            if name not in parts:
                raise unknown_name(f"part of {self.name!r}", name, parts)
        definitions = {entry.name: entry.value for entry in entries}
        signals = tuple(_signal(one, name, options.get(name, {}), seed) for name, one in definitions.items())
        curves = {name: text for one in definitions.values() for name, text in one.curves.items()}
        summary = " + ".join(entry.summary for entry in entries)
        source = "; ".join(dict.fromkeys(entry.source for entry in entries))
        inference = self._inference(entries[0].value)
        words = self.label or self.name, summary, source
        if not any(definition.has_reading for definition in definitions.values()):
            return Attack(*words, cast(tuple[Signal, ...], signals), inference, curves)
        if len(parts) > 1:
            raise UsageError(f"{self.name!r}: attacks that prepare something of an endpoint cannot be joined with '+'.")
        reading = cast(Reading, signals[0])
        self._check_references(inference, reading)
        return Attack(*words, (reading.asked,), self._for_channels(inference, reading), curves, reading)

    def _inference(self, definition: AttackDefinition) -> InferenceModel:
        if not self.inference and not self.inference_options:
            return definition.inference
        where = f"inference of {self.name}"
        if self.inference:
            return from_mapping(INFERENCE.get(self.inference), self.inference_options, where)
        usual = asdict(cast(Any, definition.inference))
        return from_mapping(type(definition.inference), {**usual, **self.inference_options}, where)

    def _check_references(self, inference: InferenceModel, reading: Reading) -> None:
        """Online references know the audited samples and not the shadow's, so nothing can be fitted with them."""
        known_beforehand = isinstance(inference, Fixed)
        if reading.references is not None and reading.references.online != known_beforehand:
            needed = "online references" if known_beforehand else "references that are not online"
            raise UsageError(
                f"{self.name} decides by {'a threshold known beforehand' if known_beforehand else 'a fit'}: it needs "
                f"{needed}. Name the other form of the attack (such as lira or lira-online)."
            )

    def _for_channels(self, inference: InferenceModel, reading: Reading) -> InferenceModel:
        """A model of sequences, for as many metrics a step as the reading gives."""
        channels = getattr(reading, _CHANNELS, None)
        if channels is None or _CHANNELS not in _fields(type(inference)) or _CHANNELS in self.inference_options:
            return inference
        return cast(InferenceModel, replace(cast(Any, inference), **{_CHANNELS: channels}))


def _informed(signal: Signal, augmentation: Augmentation) -> Signal:
    return signal.informed(augmentation) if isinstance(signal, InformedSignal) else signal


def _signal(definition: AttackDefinition, name: str, options: Mapping[str, Any], seed: int) -> Signal | Reading:
    drawn = {"seed": seed} if "seed" in _fields(definition.signal) else {}
    known = {**_nested(definition.signal), **definition.options}
    usual = {key: _merged(value, options.get(key)) for key, value in known.items()}
    return from_mapping(definition.signal, {**drawn, **options, **usual}, f"attack {name}")


def _nested(kind: type[Signal] | type[Reading]) -> Mapping[str, Any]:
    """The usual values of the options that are options themselves, such as those of a distillation."""
    usual = cast(Any, kind())
    values = {one.name: getattr(usual, one.name) for one in fields(usual)}
    return {name: asdict(cast(Any, value)) for name, value in values.items() if is_dataclass(value)}


def _merged(usual: Any, given: Any) -> Any:
    """An option as given, over what is usual for this attack; of a mapping, key by key."""
    if isinstance(usual, Mapping) and isinstance(given, Mapping):
        return {**usual, **given}
    return usual if given is None else given


def _fields(kind: type) -> Mapping[str, Any]:
    known: Mapping[str, Any] = getattr(kind, "__dataclass_fields__", {})
    return known
