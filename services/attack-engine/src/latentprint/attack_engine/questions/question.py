"""What a question is: its truth, its controls, its judge and its words. Its part of the report is found by its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from latentprint.attack_engine.questions.header import Finding, Verdict
from latentprint.core.registry import Registry

if TYPE_CHECKING:
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
