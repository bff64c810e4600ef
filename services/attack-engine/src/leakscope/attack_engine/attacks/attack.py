"""An attack: signals, and the inference model that reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakscope.attack_engine.attacks.inference.base import InferenceModel
from leakscope.attack_engine.attacks.inference.logistic import Logistic
from leakscope.attack_engine.attacks.inference.mlp import Mlp
from leakscope.attack_engine.attacks.signal import Signal
from leakscope.core.config import from_mapping
from leakscope.core.errors import UsageError, unknown_name
from leakscope.core.registry import Registry

_INFERENCE: Registry[type[Mlp] | type[Logistic]] = Registry("inference model")
_INFERENCE.add("mlp", Mlp, summary="the papers' MLP", source="PartCrop, CCS 2024")
_INFERENCE.add("logistic", Logistic, summary="logistic regression", source="scikit-learn")


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
    def outputs(self) -> tuple[str, ...]:
        """Outputs that an endpoint must offer, each once."""
        return tuple(dict.fromkeys(output for signal in self.signals for output in signal.outputs))


@dataclass(frozen=True)
class AttackChoice:
    """An attack as asked for.

    Attributes:
        name: a registered name, or several joined with "+" (their signals are concatenated).
        options: the signal's options; of a combination, by attack name.
        inference: "mlp" or "logistic"; "" keeps the attack's default.
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


def _signal(definition: AttackDefinition, name: str, options: Mapping[str, Any], seed: int) -> Signal:
    takes_seed = "seed" in getattr(definition.signal, "__dataclass_fields__", {})
    drawn = {"seed": seed} if takes_seed else {}
    return from_mapping(definition.signal, {**drawn, **options}, f"attack {name}")
