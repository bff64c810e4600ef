"""Where an experiment's files are: things by content key, shared by all experiments, and the results by name."""

import re
from dataclasses import dataclass
from pathlib import Path

from latentprint.attack_engine.models.job import ModelStore

_LONGEST_NAME = 40
RESERVED = ("store", "mlflow")  # folders beside those of the results


@dataclass(frozen=True)
class Layout:
    """Folders below the root of all runs.

    Attributes:
        root: of all runs.
        experiment: folder of the results.
        part: folder below it, where an experiment's name stands for several results; "" for none.
    """

    root: Path
    experiment: str
    part: str = ""

    @property
    def models(self) -> ModelStore:
        """Models, and what is kept of them, by kind and key."""
        return ModelStore(self.root / "store")

    @property
    def results(self) -> Path:
        """What the experiment ends in."""
        return self.root / self.experiment / self.part

    @property
    def report(self) -> Path:
        """The report."""
        return self.results / "report.html"

    @property
    def findings(self) -> Path:
        """What the report was made from."""
        return self.results / "findings.json"

    @property
    def samples(self) -> tuple[Path, Path]:
        """The table of all samples, for a spreadsheet and for programs."""
        return self.results / "samples.csv", self.results / "samples.parquet"

    @property
    def recorded(self) -> dict[str, Path]:
        """What of the results is kept as artifacts too, by folder."""
        return {"report": self.report, "findings": self.findings, "samples": self.samples[0]}

    def split(self, digest: str) -> Path:
        """A split by digest."""
        return self.root / "store" / "splits" / f"{digest[:16]}.parquet"

    def signals(self, key: str) -> Path:
        """Signals and ledgers of one victim and its twin."""
        return self.root / "store" / "signals" / key[:16]

    def cell(self, key: str) -> Path:
        """One cell's scores."""
        return self.root / "store" / "cells" / key[:16]

    @property
    def searches(self) -> Path:
        """The table of the experiment's searches."""
        return self.results / "searches.csv"

    @property
    def mlflow(self) -> Path:
        """MLflow's artifacts, where the store is local."""
        return self.root / "mlflow" / "artifacts"


def part_name(subject: str, key: str) -> str:
    """A folder's name for what has the content key `key`: of `subject` what any file system takes, and of the key."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", subject)[:_LONGEST_NAME].strip(".-")
    return f"{plain or 'endpoint'}-{key[:8]}"
