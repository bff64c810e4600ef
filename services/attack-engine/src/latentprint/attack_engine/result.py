"""What an audit from Python gives: the verdict, tables, a plot, and the files that the command line writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.findings.serialise import to_json
from latentprint.attack_engine.questions.header import Finding, Verdict
from latentprint.core.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class AuditResult:
    """The findings of one audit of one encoder.

    Attributes:
        findings: everything that the report shows, as plain data.
        table: the samples with their scores, as `samples.csv` holds them.
    """

    findings: Findings
    table: "pd.DataFrame"

    def __repr__(self) -> str:
        """What was audited, and the verdict's label."""
        return f"<{self.findings.title}: {self.verdict.label}>"

    @property
    def verdict(self) -> Verdict:
        """The verdict over all attacks: its outcome, label, sentence and reasons."""
        return self.findings.verdict

    def to_frame(self) -> "pd.DataFrame":
        """One row an attack: effect with its 95 % interval, p-value, controls, verdict, and images asked."""
        import pandas as pd

        return pd.DataFrame([_row(finding) for finding in self.findings.audits])

    def samples(self) -> "pd.DataFrame":
        """One row a sample: its file or number, its side and use, and every attack's score, percentile and p-value."""
        return self.table.copy()

    def plot_roc(self, ax: "Axes | None" = None) -> "Axes":
        """Draw every attack's ROC with the pointwise band of its TPR (matplotlib), both rates as fractions.

        Args:
            ax: where to draw; None makes a figure.
        """
        import matplotlib.pyplot as plt

        axes = plt.subplots(figsize=(5, 5))[1] if ax is None else ax
        for finding in self.findings.audits:
            evaluation = finding.result.evaluation
            label = f"{finding.attack.name}: AUC {evaluation.auc.value:.3f}"
            (line,) = axes.plot(evaluation.roc.fpr, evaluation.roc.tpr, label=label)
            axes.fill_between(
                evaluation.roc.fpr, evaluation.roc.tpr_low, evaluation.roc.tpr_high, color=line.get_color(), alpha=0.15
            )
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.legend(loc="lower right")
        return axes

    def report(self, path: str | Path) -> Path:
        """Write the report, one self-contained HTML page, and return its path."""
        from latentprint.attack_engine.report.render import render

        return _written(path, render(self.findings))

    def to_json(self, path: str | Path | None = None) -> str:
        """The findings as JSON text, of the published schema; written to `path` where one is given."""
        text = to_json(self.findings)
        if path is not None:
            _written(path, text)
        return text


def _row(finding: Finding[Any]) -> dict[str, Any]:
    effect = finding.effect
    return {
        "attack": finding.attack.name,
        "effect": effect.name,
        "estimate": effect.estimate,
        "low": effect.interval.low,
        "high": effect.interval.high,
        "p_value": finding.p_value,
        "controls": _controls(finding.controls),
        "verdict": finding.verdict.label,
        "images": finding.queries.answered,
    }


def _controls(controls: Sequence[Any]) -> str:
    """The controls by name, those that failed said to have."""
    return ", ".join(control.name + ("" if control.holds else " (fails)") for control in controls) or "none"


def _written(path: str | Path, text: str) -> Path:
    place = Path(path)
    write_atomically(place, text.encode())
    return place
