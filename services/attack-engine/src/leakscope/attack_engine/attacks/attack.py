"""An attack: signals, and the inference model that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from leakscope.attack_engine.attacks.inference.base import InferenceModel
from leakscope.attack_engine.attacks.inference.deep_sets import DeepSets
from leakscope.attack_engine.attacks.inference.logistic import Logistic
from leakscope.attack_engine.attacks.inference.mlp import Mlp
from leakscope.attack_engine.attacks.inference.over_draws import OverDraws
from leakscope.attack_engine.attacks.inference.threshold import MeanThreshold
from leakscope.attack_engine.attacks.signal import Signal, Values
from leakscope.attack_engine.attacks.views import VICTIM, EncoderMISignal
from leakscope.core.config import from_mapping
from leakscope.core.errors import UsageError, unknown_name
from leakscope.core.registry import Registry
from leakscope.core.views.augmentations import Augmentation

_Kind = type[Mlp] | type[Logistic] | type[DeepSets] | type[MeanThreshold]
_INFERENCE: Registry[_Kind] = Registry("inference model")
_INFERENCE.add("mlp", Mlp, summary="the papers' MLP", source="PartCrop, CCS 2024")
_INFERENCE.add("logistic", Logistic, summary="logistic regression", source="scikit-learn")
_INFERENCE.add("deep-sets", DeepSets, summary="a set network, blind to order", source="EncoderMI, CCS 2021")
_INFERENCE.add("threshold", MeanThreshold, summary="a threshold on the mean", source="EncoderMI, CCS 2021")


@dataclass(frozen=True)
class AttackDefinition:
    """A registered attack.

    Attributes:
        signal: frozen dataclass whose fields are the attack's options.
        inference: default inference model.
        curves: diagnostic name to (title, x label, y label) of its figure.
    """

    signal: type[Signal]
    inference: InferenceModel
    curves: Mapping[str, tuple[str, str, str]]


ATTACKS: Registry[AttackDefinition] = Registry("attack")


@dataclass(frozen=True)
class Attack:
    """An attack ready to run: several signals are concatenated in order."""

    name: str
    summary: str
    source: str
    signals: tuple[Signal, ...]
    inference: InferenceModel
    curves: Mapping[str, tuple[str, str, str]]

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

    def against(self, augmentation: Augmentation) -> "Attack":
        """The attack with full knowledge of a victim's training augmentation, where it was asked for."""
        return replace(self, signals=tuple(_informed(signal, augmentation) for signal in self.signals))

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
        inference: "mlp", "logistic", "deep-sets" or "threshold"; "" keeps the attack's default.
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
        signals = tuple(_signal(entry.value, entry.name, options.get(entry.name, {}), seed) for entry in entries)
        curves = {name: text for entry in entries for name, text in entry.value.curves.items()}
        summary = " + ".join(entry.summary for entry in entries)
        source = "; ".join(dict.fromkeys(entry.source for entry in entries))
        return Attack(self.label or self.name, summary, source, signals, self._inference(entries[0].value), curves)

    def _inference(self, definition: AttackDefinition) -> InferenceModel:
        if not self.inference and not self.inference_options:
            return definition.inference
        kind = _INFERENCE.get(self.inference) if self.inference else type(definition.inference)
        return from_mapping(kind, self.inference_options, f"inference of {self.name}")


def _informed(signal: Signal, augmentation: Augmentation) -> Signal:
    if isinstance(signal, EncoderMISignal) and signal.augmentation == VICTIM and signal.known is None:
        return replace(signal, known=augmentation)
    return signal


def _signal(definition: AttackDefinition, name: str, options: Mapping[str, Any], seed: int) -> Signal:
    takes_seed = "seed" in getattr(definition.signal, "__dataclass_fields__", {})
    drawn = {"seed": seed} if takes_seed else {}
    return from_mapping(definition.signal, {**drawn, **options}, f"attack {name}")
