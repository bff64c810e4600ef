"""The plan as a table for people."""

from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from latentprint.attack_engine.asking.plan import ExtractionPlan
from latentprint.attack_engine.asking.signal_store import Taken
from latentprint.core.text import printable


def plan_table(plan: ExtractionPlan) -> Table:
    """The plan and its cost: one row a signal, the sum, the budget and the time in the caption."""
    table = Table(
        title=Text(printable(f"Plan for {plan.card.url}")), caption=Text(_caption(plan)), caption_justify="left"
    )
    table.add_column("signal", no_wrap=True)
    for header in ("samples", "extracted", "images a sample", "images", "kept", "to ask", "requests"):
        table.add_column(header, justify="right")
    for row in plan.signals:
        numbers = (row.samples, row.extracted, row.queries, row.total, row.kept, row.pending, row.requests)
        table.add_row(Text(printable(row.signal.name)), *(f"{number:,}" for number in numbers))
    return table


def _caption(plan: ExtractionPlan) -> str:
    budget = plan.ledger.budget
    limit = "no budget set" if budget is None else f"budget {budget:,}, {max(budget - plan.spent, 0):,} left"
    time = "time unknown until the first shard" if plan.seconds is None else f"about {duration(plan.seconds)}"
    canaries = f", and {plan.canaries:,} canaries to tell whether the model stays the same" if plan.canaries else ""
    before = "" if plan.taken is None else f"; what is there was answered {between(plan.taken)}"
    return f"{plan.pending:,} images to ask{canaries}; {limit}; {time}{before}"


def between(taken: Taken) -> str:
    """Two times in UTC to the minute: "2026-01-31 09:00 to 09:20 UTC"; one where they are alike."""
    first, last = (f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}" for seconds in taken)
    if first == last:
        return f"{first} UTC"
    return f"{first} to {last[11:] if first[:10] == last[:10] else last} UTC"


def duration(seconds: float) -> str:
    """Seconds as "45 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
