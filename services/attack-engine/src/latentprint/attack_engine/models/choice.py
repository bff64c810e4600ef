"""What an experiment asks for of one victim, and the samples that were drawn for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentprint.attack_engine.models.stealing import Stealing
from latentprint.core.checks import require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.mirror import mirror_of
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.split_files import write_split
from latentprint.core.splits import Split
from latentprint.trainer import DefenceSpec, ProbeOptions


@dataclass(frozen=True)
class VictimChoice:
    """A victim to make: a recipe on the members of a split, or what is derived from another victim.

    Attributes:
        name: what it is called.
        recipe, split, epochs, options: of one that is trained.
        defence: of one that is trained; None for none.
        seed: of all that is drawn for it; None for the experiment's.
        deterministic: it is served so that an image's answer is the same bits in any batch.
        owned_by: the victim of the same split that it may be stolen from, which makes it a suspect of ownership.
        of: the victim that it is derived from, whose split is its own; "" for one that is trained.
        steal: how it is stolen from `of`.
        probe: how a linear probe is fitted to `of`, which makes it a classifier.
        obfuscate: what is done to its answers on their way out, each as `latentprint serve --obfuscate` takes it.
        obfuscate_seed: of what is drawn for that.
        attacks: those of the experiment that audit it, by label: None for all of them, and none at all for one that
            only owns a suspect, or that others are derived from.

    Raises:
        UsageError: it is both trained and derived, or neither, or derived in two ways; an unknown obfuscation.
    """

    name: str
    recipe: str = ""
    split: str = ""
    epochs: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    defence: DefenceSpec | None = None
    seed: int | None = None
    deterministic: bool = False
    owned_by: str = ""
    of: str = ""
    steal: Stealing | None = None
    probe: ProbeOptions | None = None
    obfuscate: tuple[str, ...] = ()
    obfuscate_seed: int = 0
    attacks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_seed("seed", self.seed)
        require_seed("obfuscate_seed", self.obfuscate_seed)
        for text in self.obfuscate:
            ObfuscationStep.parse(text)
        ways = [name for name in ("steal", "probe") if getattr(self, name) is not None]
        if bool(self.recipe) == bool(self.of):
            raise UsageError(
                f"The victim {self.name!r} names {'both' if self.of else 'neither'} a recipe to be trained by and, as "
                "`of`, a victim to be derived from: give one of them."
            )
        if self.of and len(ways) != 1:
            raise UsageError(
                f"The victim {self.name!r} is derived from {self.of!r}, and says {'twice' if ways else 'nowhere'} how: "
                "give one of steal and probe."
            )
        self._refuse(ways if self.recipe else [name for name in _TRAINED if getattr(self, name)])

    def _refuse(self, names: Sequence[str]) -> None:
        """Raise `UsageError` for keys of a victim that comes to be otherwise."""
        if names:
            other = "is derived from another victim (`of`)" if self.recipe else "is trained by a recipe"
            raise UsageError(f"The victim {self.name!r}: {', '.join(names)} is for one that {other}: leave it out.")

    @property
    def defences(self) -> tuple[DefenceSpec, ...]:
        """The defence, if there is one."""
        return (self.defence,) if self.defence else ()

    def is_audited_with(self, label: str) -> bool:
        """Whether the attack of this label is one of `attacks`."""
        return self.attacks is None or label in self.attacks

    @property
    def serve_options(self) -> list[str]:
        """What `latentprint serve` is told beside the bundle."""
        obfuscated = [*(f"--obfuscate={step}" for step in self.obfuscate), f"--obfuscate-seed={self.obfuscate_seed}"]
        return [*(["--deterministic"] if self.deterministic else []), *(obfuscated if self.obfuscate else [])]


_TRAINED = ("split", "epochs", "options", "defence")


@dataclass(frozen=True)
class DrawnSamples:
    """A split of a data set, drawn and written, so that a worker reads it."""

    dataset: DatasetSpec
    split: Split
    path: Path

    @classmethod
    def written(cls, dataset: DatasetSpec, split: Split, path: Path) -> "DrawnSamples":
        """`split` at `path`, written where it is not there yet, and in the storage where there is one."""
        if not path.exists():
            write_split(split, path)
        if (mirror := mirror_of(path)) is not None:
            mirror.push_whole(path)
        return cls(dataset, split, path)
