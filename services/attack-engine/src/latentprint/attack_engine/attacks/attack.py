"""An attack: signals, a reading of the answers, and an inference model of what was read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, cast

from latentprint.attack_engine.asking.signal import Outputs, ShapedSignal, Signal, kinds
from latentprint.attack_engine.attacks import ATTACKS
from latentprint.attack_engine.attacks.definition import MEMBERSHIP, AttackDefinition
from latentprint.attack_engine.attacks.reading import PlainReading, Reading, joined
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference import INFERENCE
from latentprint.attack_engine.inference.base import BOTH_SIDES, MEMBERS_ALONE, InferenceModel, OneClass
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.over_draws import Draws, OverDraws
from latentprint.core.config import from_mapping
from latentprint.core.errors import DataError, UsageError, unknown_name
from latentprint.core.splits import Split
from latentprint.core.views.augmentations import Augmentation

_CHANNELS = "channels"


@dataclass(frozen=True)
class Attack:
    """An attack ready to run: what it reads, the inference model that is fitted to it, and the question it answers."""

    name: str
    summary: str
    source: str
    reading: Reading
    inference: InferenceModel
    question: str = MEMBERSHIP

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What the endpoint is asked for a sample."""
        return self.reading.signals

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that an endpoint must offer, each once."""
        return tuple(dict.fromkeys(output for signal in self.signals for output in signal.outputs))

    @property
    def options(self) -> list[object]:
        """All of it that scores depend on, as plain values: no name, no summary, no word of a figure."""
        return [repr(self.reading), repr(self.inference), sorted(self.reading.recorded)]

    @property
    def parts(self) -> tuple[type, ...]:
        """The classes that it computes with, for `code_digest`."""
        asking = [kind for signal in self.signals for kind in kinds(signal)]
        return (*asking, type(self.reading), type(self.inference))

    @property
    def unfitted(self) -> bool:
        """Whether its decision is known beforehand, so that it needs no sample of known membership."""
        return isinstance(self.inference, Fixed)

    @property
    def known_sides(self) -> tuple[bool, ...]:
        """Of which sides it is fitted on known samples: True for members, False for non-members."""
        if self.unfitted:
            return ()
        return MEMBERS_ALONE if isinstance(self.inference, OneClass) else BOTH_SIDES

    @property
    def over_draws(self) -> OverDraws:
        """What is fitted to `features`."""
        return OverDraws(self.inference, self.reading.trimmed)

    def features(self, evidence: Evidence) -> Draws:
        """What the inference model reads of S samples: float32 [S, R, F]."""
        return self.reading.features(evidence)

    def rows(self, split: Split) -> Split:
        """What is scored one by one: the split's samples, or its units for an attack that reads units.

        Raises:
            DataError: such an attack, and a split whose samples belong to nobody.
        """
        if not self.reading.of_units:
            return split
        if split.units is None:
            raise DataError(
                f"{self.name} audits {self.question}, and the split does not say whose its {len(split.sample_id)} "
                "samples are: give a split whose samples belong to units."
            )
        return split.by_unit()

    def against(self, augmentation: Augmentation) -> "Attack":
        """The attack with full knowledge of a victim's training augmentation, where it was asked for."""
        return replace(self, reading=self.reading.against(augmentation))

    def on(self, outputs: Outputs, url: str) -> "Attack":
        """The attack as it is asked of the endpoint at `url` with these outputs; the summary says what that decided.

        Raises:
            UsageError: see `suited`.
        """
        reading = self.reading.on(outputs, url)
        choices = [signal.choice for signal in reading.signals if isinstance(signal, ShapedSignal) and signal.choice]
        return replace(self, reading=reading, summary="; ".join([self.summary, *choices]))


def require_one_question(attacks: Iterable[Attack], question: str = "") -> str:
    """The question that all `attacks` answer: `question`, or the first one's where that is "".

    Raises:
        UsageError: an attack that answers another one.
    """
    for attack in attacks:
        question = question or attack.question
        if attack.question != question:
            raise UsageError(
                f"{attack.name} answers the question of {attack.question}, and this audit asks for {question}: name "
                "one question's attacks only."
            )
    return question


@dataclass(frozen=True)
class AttackChoice:
    """An attack as asked for.

    Attributes:
        name: a registered name, or several joined with "+" (their signals are concatenated).
        options: the signal's options; of a combination, by attack name.
        inference: a registered inference model; "" keeps the attack's default.
        inference_options: the inference model's options.
        label: what the report calls it; "" is `name`.
        range: versions of an image that count as the image, of `VERSIONS`: each is a draw, and a range's score is their
            trimmed mean. None asks about the image alone.
        range_draws: versions that are asked about.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inference: str = ""
    inference_options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    range: tuple[str, ...] = ()
    range_draws: int = 8

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
        read = [_reading(entry.value, entry.name, options.get(entry.name, {}), seed) for entry in entries]
        reading = joined(self.name, read)
        if self.range:
            reading = reading.in_range(self.range, self.range_draws, seed)
        inference = self._inference(entries[0].value)
        self._check_references(inference, reading)
        return Attack(
            self.label or (f"{self.name} in range" if self.range else self.name),
            " + ".join(entry.summary for entry in entries),
            "; ".join(dict.fromkeys(entry.source for entry in entries)),
            reading,
            self._for_channels(inference, reading),
            self._question([entry.value for entry in entries]),
        )

    def _question(self, definitions: Sequence[AttackDefinition]) -> str:
        questions = list(dict.fromkeys(definition.question for definition in definitions))
        if len(questions) > 1:
            raise UsageError(f"The attack {self.name!r} joins answers to several questions: {', '.join(questions)}.")
        return questions[0]

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
        if not reading.channels or _CHANNELS not in _fields(type(inference)) or _CHANNELS in self.inference_options:
            return inference
        return cast(InferenceModel, replace(cast(Any, inference), **{_CHANNELS: reading.channels}))


def _reading(definition: AttackDefinition, name: str, options: Mapping[str, Any], seed: int) -> Reading:
    """What a registered attack reads, with these options; `seed` is its seed unless an option sets it."""
    kind = definition.options_of
    drawn = {"seed": seed} if "seed" in _fields(kind) else {}
    known = {**_nested(kind), **definition.options}
    usual = {key: _merged(value, options.get(key)) for key, value in known.items()}
    made = from_mapping(kind, {**drawn, **options, **usual}, f"attack {name}")
    return made if isinstance(made, Reading) else PlainReading((made,), definition.titles)


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
