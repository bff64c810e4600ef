"""The report's order: audits grouped by victim, the matrix, the first line, the totals."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leakscope.attack_engine.evaluation.results import Audit, Findings, NullControl, Outcome, Queries, Verdict, Victim
from leakscope.attack_engine.report import words

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Cell:
    """One audit and the name of its place on the page."""

    anchor: str
    audit: Audit

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons beyond the verdict's sentence."""
        return further_reasons(self.audit.verdict)

    @property
    def failed_controls(self) -> list[NullControl]:
        """The null controls that found what cannot be there."""
        return [control for control in self.audit.validity.null_controls if not control.holds]


@dataclass(frozen=True)
class Group:
    """A victim with its audits in the order they were given."""

    anchor: str
    victim: Victim
    cells: tuple[Cell, ...]

    def under(self, attack: str) -> list[Cell]:
        """The audits of this victim by `attack`: none, one, or several (other seeds or knowledge)."""
        return [cell for cell in self.cells if cell.audit.attack == attack]


@dataclass(frozen=True)
class Headline:
    """The page's first line, its kind, and the sentences that follow it."""

    outcome: Outcome
    first: str
    following: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """All that the template walks through."""

    findings: Findings
    headline: Headline
    groups: tuple[Group, ...]
    attacks: tuple[str, ...]
    tally: tuple[tuple[Outcome, int], ...]
    queries: Queries


def page(findings: Findings) -> Page:
    """Arrange `findings` for reading; nothing is computed beyond counts and sums."""
    groups = tuple(_groups(findings.audits))
    outcomes = [audit.verdict.outcome for audit in findings.audits]
    return Page(
        findings=findings,
        headline=_headline(findings),
        groups=groups,
        attacks=tuple(dict.fromkeys(audit.attack for audit in findings.audits)),
        tally=tuple((outcome, outcomes.count(outcome)) for outcome in Outcome if outcome in outcomes),
        queries=_total([audit.queries for audit in findings.audits]),
    )


def _groups(audits: Sequence[Audit]) -> Iterator[Group]:
    keys = list(dict.fromkeys((audit.victim.name, audit.victim.url) for audit in audits))
    for number, key in enumerate(keys, 1):
        own = [audit for audit in audits if (audit.victim.name, audit.victim.url) == key]
        cells = tuple(Cell(f"audit-{number}-{place}", audit) for place, audit in enumerate(own, 1))
        yield Group(f"victim-{number}", own[0].victim, cells)


def _headline(findings: Findings) -> Headline:
    """The overall verdict's first sentence, then the rest of it.

    Where a null control fails, that comes first, whatever the verdict says.
    """
    controls = [(audit, control) for audit in findings.audits for control in audit.validity.null_controls]
    failed = [f"{audit.victim.name} under {audit.attack}" for audit, control in controls if not control.holds]
    verdict = findings.verdict
    first, *rest = SENTENCE_END.split(verdict.sentence, maxsplit=1)
    if not failed or verdict.outcome is Outcome.INVALID:
        return Headline(verdict.outcome, first, (*rest, *further_reasons(verdict)))
    places = _some(list(dict.fromkeys(failed)))
    first = (
        f"Not valid: {len(failed)} of {words.plural(len(controls), 'null control')} failed ({places}). "
        "What those audits found is no evidence of a leak."
    )
    return Headline(Outcome.INVALID, first, (verdict.sentence, *further_reasons(verdict)))


def further_reasons(verdict: Verdict) -> tuple[str, ...]:
    """The reasons that the verdict's own sentence does not already give."""
    return tuple(reason for reason in verdict.reasons if reason not in verdict.sentence)


def _some(places: Sequence[str], named: int = 2) -> str:
    """The first few places by name, the others by their number."""
    rest = len(places) - named
    return "; ".join(places[:named]) + (f"; and {words.plural(rest, 'other audit')}" if rest > 0 else "")


def _total(queries: Sequence[Queries]) -> Queries:
    return Queries(
        sent=sum(one.sent for one in queries),
        answered=sum(one.answered for one in queries),
        cached=sum(one.cached for one in queries),
        retried=sum(one.retried for one in queries),
        budget=None,
        seconds=sum(one.seconds for one in queries),
    )
