"""What a question is: its truth, its controls, its judge and its words. Its part of the report is found by its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from latentprint.attack_engine.questions.header import Finding, Verdict
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.registry import Registry
from latentprint.core.splits import Split

if TYPE_CHECKING:
    from latentprint.attack_engine.attacks.attack import Attack
    from latentprint.attack_engine.questions.audit import Audit

R = TypeVar("R")


@dataclass(frozen=True)
class Metric:
    """A number for a tracking server; `step` is its place in a series."""

    name: str
    value: float
    step: int = 0


class Question(Protocol[R]):
    """One question about encoders. Whatever is alike for all questions is no part of it."""

    @property
    def title(self) -> str:
        """What a section of a report on several questions is called."""
        ...

    @property
    def result(self) -> type[R]:
        """The dataclass of what only this question finds."""
        ...

    @property
    def attacks(self) -> Sequence[str]:
        """Names of the attacks that an audit tries where none is named."""
        ...

    @property
    def held_against(self) -> Sequence[str]:
        """Sides of the encoders beside the victim whose answers it reads: `TWIN`, `PLACEBO`, `ORIGINAL`."""
        ...

    def require(self, attacks: "Sequence[Attack]", dataset: Dataset, split: Split) -> None:
        """Before anything is asked: raise `DataError` where `attacks` cannot be fitted or judged on these samples."""
        ...

    def examine(self, dataset: DatasetSpec, split: Split, seed: int) -> Any:
        """What the samples themselves say, for `foresee` and `judge`; None where they are not looked at."""
        ...

    def foresee(
        self,
        split: Split,
        examined: Any,
        *,
        untrained: bool,
        placebo: bool,
        original: bool = False,
        fitted: bool = True,
    ) -> Iterator[str]:
        """What is known of the verdict before the first query, a sentence each.

        Args:
            split: the samples.
            examined: from `examine`.
            untrained: whether an untrained twin will be asked.
            placebo: whether a trained encoder that saw none of the samples will be asked.
            original: whether the victim will be asked that the audited suspect may be stolen from.
            fitted: whether some attack is fitted on known samples of the victim.
        """
        ...

    def judge(self, audits: "Sequence[Audit]", *, controls: int, examined: Mapping[str, Any]) -> list[Finding[R]]:
        """Hold each audit's scores against the truth, and its controls against what is known of them beforehand.

        Args:
            audits: those of this question.
            controls: of all questions' audits in the report; each is judged at a level corrected for them.
            examined: what was found of the samples themselves before, by the split's digest.
        """
        ...

    def overall(self, findings: Sequence[Finding[R]], stands: Sequence[bool]) -> Verdict:
        """What this question's findings say together; `stands`: whose p-value stands after Holm's correction."""
        ...

    def parameters(self, finding: Finding[R]) -> Mapping[str, object]:
        """What determined a finding, beside what its header says."""
        ...

    def metrics(self, finding: Finding[R]) -> Iterator[Metric]:
        """What was measured beside effect and controls. What is not resolvable is left out."""
        ...


QUESTIONS: Registry[Question[Any]] = Registry("question")
