"""The report's order: audits grouped by victim, the matrix, the first line, the totals."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.header import Outcome, Verdict, Victim
from latentprint.attack_engine.questions.membership.results import Audit, NullControl
from latentprint.attack_engine.report import words

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
    def place(self) -> str:
        """The victim and the attack in words, with the shadow encoder where one was fitted on."""
        fitted = f", fitted on {self.audit.shadow}" if self.audit.shadow else ""
        return f"{self.audit.victim.name} under {self.audit.attack}{fitted}"

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

    @property
    def partial(self) -> tuple[Cell, ...]:
        """The audits in the partial setting."""
        return self.fitted_on("")

    def fitted_on(self, shadow: str) -> tuple[Cell, ...]:
        """The audits whose attack was fitted on the encoder `shadow`; "" is the partial setting."""
        return tuple(cell for cell in self.cells if cell.audit.shadow == shadow)


@dataclass(frozen=True)
class Row:
    """One row of a matrix: audits in one setting of one victim, at `anchor` on the page."""

    anchor: str
    title: str
    dataset: str
    cells: tuple[Cell, ...]

    def under(self, attack: str) -> list[Cell]:
        """The row's audits by `attack`: none, one, or several (other seeds or knowledge)."""
        return [cell for cell in self.cells if cell.audit.attack == attack]


@dataclass(frozen=True)
class Matrix:
    """Audits of one setting: a row for each victim, or for each shadow encoder and victim, a column for each attack."""

    rows: tuple[Row, ...]

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks of all rows, in the order of their first audit."""
        return tuple(dict.fromkeys(cell.audit.attack for row in self.rows for cell in row.cells))


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
    partial: Matrix
    shadow: Matrix
    attacks: tuple[str, ...]
    tally: tuple[tuple[Outcome, int], ...]
    queries: Queries


def page(findings: Findings) -> Page:
    """Arrange `findings` for reading; nothing is computed beyond counts and sums."""
    groups = tuple(_groups(findings.audits))
    outcomes = [audit.verdict.outcome for audit in findings.audits]
    return Page(
        findings=findings,
        headline=_headline(findings, groups),
        groups=groups,
        partial=Matrix(tuple(_partial_rows(groups))),
        shadow=Matrix(tuple(_shadow_rows(groups))),
        attacks=tuple(dict.fromkeys(audit.attack for audit in findings.audits)),
        tally=tuple((outcome, outcomes.count(outcome)) for outcome in Outcome if outcome in outcomes),
        queries=_total(findings.audits),
    )


def _groups(audits: Sequence[Audit]) -> Iterator[Group]:
    keys = list(dict.fromkeys((audit.victim.name, audit.victim.url) for audit in audits))
    for number, key in enumerate(keys, 1):
        own = [audit for audit in audits if (audit.victim.name, audit.victim.url) == key]
        cells = tuple(Cell(f"audit-{number}-{place}", audit) for place, audit in enumerate(own, 1))
        yield Group(f"victim-{number}", own[0].victim, cells)


def _partial_rows(groups: Sequence[Group]) -> Iterator[Row]:
    for group in groups:
        if group.partial:
            yield Row(group.anchor, group.victim.name, group.victim.dataset, group.partial)


def _shadow_rows(groups: Sequence[Group]) -> Iterator[Row]:
    for group in groups:
        for shadow in dict.fromkeys(cell.audit.shadow for cell in group.cells if cell.audit.shadow):
            title = f"{shadow} → {group.victim.name}"
            yield Row(group.anchor, title, group.victim.dataset, group.fitted_on(shadow))


def _headline(findings: Findings, groups: Sequence[Group]) -> Headline:
    """The overall verdict's first sentence, then the rest of it.

    Where a null control fails, that comes first, whatever the verdict says.
    """
    controls = sum(len(audit.validity.null_controls) for audit in findings.audits)
    failed = [cell.place for group in groups for cell in group.cells for _ in cell.failed_controls]
    verdict = findings.verdict
    first, *rest = SENTENCE_END.split(verdict.sentence, maxsplit=1)
    if not failed or not verdict.outcome.is_valid:
        return Headline(verdict.outcome, first, (*rest, *further_reasons(verdict)))
    places = _some(list(dict.fromkeys(failed)))
    first = (
        f"Not valid: {len(failed)} of {words.plural(controls, 'null control')} failed ({places}). "
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


def _total(audits: Sequence[Audit]) -> Queries:
    queries = [audit.queries for audit in audits]
    canaries = {audit.victim.url: audit.queries.canaries for audit in audits}
    return Queries(
        sent=sum(one.sent for one in queries),
        answered=sum(one.answered for one in queries),
        cached=sum(one.cached for one in queries),
        retried=sum(one.retried for one in queries),
        budget=None,
        seconds=sum(one.seconds for one in queries),
        canaries=sum(canaries.values()),
    )
