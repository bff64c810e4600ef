"""The report's order: audits grouped by victim, a matrix for each question, the first line, the totals.

Only the findings' header is read here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.header import Effect, Finding, Outcome, Verdict, VictimDescription
from latentprint.attack_engine.report import words
from latentprint.attack_engine.report.charts.strip import Strips, strips

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Cell:
    """One audit's finding and the name of its place on the page."""

    anchor: str
    finding: Finding[Any]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons beyond the verdict's sentence."""
        return further_reasons(self.finding.verdict)

    @property
    def place(self) -> str:
        """The victim and the attack in words, with the shadow encoder where one was fitted on."""
        attack = self.finding.attack
        fitted = f", fitted on {attack.fitted_on}" if attack.fitted_on else ""
        return f"{self.finding.victim.name} under {attack.name}{fitted}"


@dataclass(frozen=True)
class Group:
    """A victim with its audits in the order they were given."""

    anchor: str
    victim: VictimDescription
    cells: tuple[Cell, ...]

    @property
    def partial(self) -> tuple[Cell, ...]:
        """The audits in the partial setting."""
        return self.fitted_on("")

    def fitted_on(self, shadow: str) -> tuple[Cell, ...]:
        """The audits whose attack was fitted on the encoder `shadow`; "" is the partial setting."""
        return tuple(cell for cell in self.cells if cell.finding.attack.fitted_on == shadow)


@dataclass(frozen=True)
class Row:
    """One row of a matrix: audits in one setting of one victim, at `anchor` on the page."""

    anchor: str
    title: str
    dataset: str
    cells: tuple[Cell, ...]

    def under(self, attack: str) -> list[Cell]:
        """The row's audits by `attack`: none, one, or several (other seeds or knowledge)."""
        return [cell for cell in self.cells if cell.finding.attack.name == attack]


@dataclass(frozen=True)
class Matrix:
    """Audits of one setting: a row for each victim, or for each shadow encoder and victim, a column for each attack."""

    rows: tuple[Row, ...]

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks of all rows, in the order of their first audit."""
        return tuple(dict.fromkeys(cell.finding.attack.name for row in self.rows for cell in row.cells))


@dataclass(frozen=True)
class Headline:
    """The page's first line, its kind, and the sentences that follow it."""

    outcome: Outcome
    label: str
    first: str
    following: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """One question's audits in the overview: two matrices, and strips on an axis that holds all their intervals.

    `effect` is the first audit's, for its name and for the value that it has where there is nothing.
    """

    question: str
    title: str
    effect: Effect
    groups: tuple[Group, ...]
    partial: Matrix
    shadow: Matrix
    strips: Strips

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All its audits."""
        return tuple(cell for group in self.groups for cell in group.cells)

    def of_victim(self, anchor: str) -> Group | None:
        """Its audits of the victim at `anchor`; None where that was not asked."""
        return next((group for group in self.groups if group.anchor == anchor), None)


@dataclass(frozen=True)
class Page:
    """All that the template walks through."""

    findings: Findings
    headline: Headline
    groups: tuple[Group, ...]
    asked: tuple[Asked, ...]
    attacks: tuple[str, ...]
    tally: tuple[tuple[Outcome, str, int], ...]
    queries: Queries

    def groups_of(self, question: str) -> tuple[Group, ...]:
        """The victims that `question` was asked of, with its audits alone."""
        return next((asked.groups for asked in self.asked if asked.question == question), ())


def page(findings: Findings) -> Page:
    """Arrange `findings` for reading; nothing is computed beyond counts and sums."""
    groups = tuple(_groups(findings.audits))
    verdicts = [(finding.verdict.outcome, finding.verdict.label) for finding in findings.audits]
    kinds = sorted(dict.fromkeys(verdicts), key=lambda kind: list(Outcome).index(kind[0]))
    return Page(
        findings=findings,
        headline=_headline(findings, groups),
        groups=groups,
        asked=tuple(_asked(findings, groups)),
        attacks=tuple(dict.fromkeys(finding.attack.name for finding in findings.audits)),
        tally=tuple((*kind, verdicts.count(kind)) for kind in kinds),
        queries=_total(findings.audits),
    )


def _asked(findings: Findings, groups: Sequence[Group]) -> Iterator[Asked]:
    for question in dict.fromkeys(finding.question for finding in findings.audits):
        own = tuple(_only(question, groups))
        audits = [cell.finding for group in own for cell in group.cells]
        yield Asked(
            question=question,
            title=QUESTIONS.get(question).title,
            effect=audits[0].effect,
            groups=own,
            partial=Matrix(tuple(_partial_rows(own))),
            shadow=Matrix(tuple(_shadow_rows(own))),
            strips=strips(audits),
        )


def _only(question: str, groups: Sequence[Group]) -> Iterator[Group]:
    """The groups with the audits of one question alone, those that have any."""
    for group in groups:
        cells = tuple(cell for cell in group.cells if cell.finding.question == question)
        if cells:
            yield replace(group, cells=cells)


def _groups(audits: Sequence[Finding[Any]]) -> Iterator[Group]:
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
        for shadow in dict.fromkeys(
            cell.finding.attack.fitted_on for cell in group.cells if cell.finding.attack.fitted_on
        ):
            title = f"{shadow} → {group.victim.name}"
            yield Row(group.anchor, title, group.victim.dataset, group.fitted_on(shadow))


def _headline(findings: Findings, groups: Sequence[Group]) -> Headline:
    """The overall verdict's first sentence, then the rest of it.

    Where a null control fails, that comes first, whatever the verdict says.
    """
    controls = sum(not control.positive for finding in findings.audits for control in finding.controls)
    failed = [cell.place for group in groups for cell in group.cells for _ in cell.finding.failed_null_controls]
    verdict = findings.verdict
    first, *rest = SENTENCE_END.split(verdict.sentence, maxsplit=1)
    if not failed or not verdict.outcome.is_valid:
        following = [part for text in rest for part in _by_question(text, findings)]
        return Headline(verdict.outcome, verdict.label, first, (*following, *further_reasons(verdict)))
    places = _some(list(dict.fromkeys(failed)))
    first = (
        f"Not valid: {len(failed)} of {words.plural(controls, 'null control')} failed ({places}). "
        "What those audits found is no evidence of a leak."
    )
    return Headline(Outcome.INVALID, "not valid", first, (verdict.sentence, *further_reasons(verdict)))


def _by_question(sentences: str, findings: Findings) -> list[str]:
    """The sentences of a verdict on several questions, those of each by themselves."""
    titles = [QUESTIONS.get(name).title for name in dict.fromkeys(finding.question for finding in findings.audits)]
    return re.split(rf"(?<=[.!?])\s+(?=(?:{'|'.join(map(re.escape, titles))}): )", sentences)


def further_reasons(verdict: Verdict) -> tuple[str, ...]:
    """The reasons that the verdict's own sentence does not already give."""
    return tuple(reason for reason in verdict.reasons if reason not in verdict.sentence)


def _some(places: Sequence[str], named: int = 2) -> str:
    """The first few places by name, the others by their number."""
    rest = len(places) - named
    return "; ".join(places[:named]) + (f"; and {words.plural(rest, 'other audit')}" if rest > 0 else "")


def _total(audits: Sequence[Finding[Any]]) -> Queries:
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
