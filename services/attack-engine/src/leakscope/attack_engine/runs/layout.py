"""Where an experiment's files are: things by content key, shared by all experiments, and the results by name."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Folders below the root of all runs."""

    root: Path
    experiment: str

    @property
    def victims(self) -> Path:
        """Bundles by key."""
        return self.root / "store" / "victims"

    @property
    def results(self) -> Path:
        """What the experiment ends in."""
        return self.root / self.experiment

    @property
    def report(self) -> Path:
        """The report."""
        return self.results / "report.html"

    @property
    def findings(self) -> Path:
        """What the report was made from."""
        return self.results / "findings.json"

    def split(self, digest: str) -> Path:
        """A split by digest."""
        return self.root / "store" / "splits" / f"{digest[:16]}.parquet"

    def signals(self, key: str) -> Path:
        """Signals and ledgers of one victim and its twin."""
        return self.root / "store" / "signals" / key[:16]

    def distillation(self, key: str) -> Path:
        """Snapshots of a student and the sequences made with them."""
        return self.root / "store" / "distillations" / key[:16]

    def references(self, key: str) -> Path:
        """What a set of reference models said."""
        return self.root / "store" / "references" / key[:16]

    def cell(self, key: str) -> Path:
        """One cell's scores."""
        return self.root / "store" / "cells" / key[:16]

    def candidate(self, key: str) -> Path:
        """What a search measured of one candidate."""
        return self.root / "store" / "candidates" / f"{key[:16]}.json"

    @property
    def tuning(self) -> Path:
        """Ray Tune's own results."""
        return self.root / "store" / "tune"

    @property
    def searches(self) -> Path:
        """The table of the experiment's searches."""
        return self.results / "searches.csv"

    @property
    def mlflow(self) -> Path:
        """MLflow's artifacts, where the store is local."""
        return self.root / "mlflow" / "artifacts"
