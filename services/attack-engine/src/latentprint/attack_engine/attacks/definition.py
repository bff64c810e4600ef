"""How an attack is registered: by the places of its parts, so that listing attacks imports none of their code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from latentprint.attack_engine.inference import INFERENCE
from latentprint.core.config import from_mapping

if TYPE_CHECKING:
    from latentprint.attack_engine.asking.signal import Signal
    from latentprint.attack_engine.attacks.reading import Reading
    from latentprint.attack_engine.inference.base import InferenceModel


MEMBERSHIP, USERS, ATTRIBUTES, OWNERSHIP = "membership", "users", "attributes", "ownership"


@dataclass(frozen=True)
class AttackDefinition:
    """A registered attack.

    Attributes:
        place: "package.module:Class" of `options_of`.
        inference_name: name of the default inference model.
        inference_options: its options that are not its own defaults.
        titles: diagnostic name to (title, x label, y label) of its figure.
        options: the signal's options that are not the dataclass's own defaults.
        question: name of the question that its scores answer.
    """

    place: str
    inference_name: str
    inference_options: Mapping[str, Any] = field(default_factory=dict)
    titles: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    question: str = MEMBERSHIP

    @property
    def options_of(self) -> "type[Signal] | type[Reading]":
        """Frozen dataclass whose fields are the attack's options: a signal that is read as it comes, or a reading."""
        kind: type[Signal] | type[Reading] = resolve_name(self.place)
        return kind

    @property
    def inference(self) -> "InferenceModel":
        """The default inference model."""
        where = f"inference model {self.inference_name!r}"
        return from_mapping(INFERENCE.get(self.inference_name), self.inference_options, where)
