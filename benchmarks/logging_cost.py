"""What logging to MLflow takes of a training: processor time in its calls, and of the threads beside it.

Over the training's wall time, because what is sent goes by the clock: where no core is to spare, it lasts that much
longer. The calls are all that a training pays in a worker of `latentprint run`; `latentprint train` loads MLflow and
sends, too. The store is a local database that is there already; making a new one is told apart.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import draw_split
from latentprint.core.tracking import Input, Run, default_uri, new_run, tracked
from latentprint.trainer import train

_TARGET = 0.02
_DIGITS, _MEMBERS, _EPOCHS = DatasetSpec("digits"), 400, 700
_OPTIONS = {"embed_dim": 96, "depth": 4, "heads": 3, "batch_size": 50}
_THREADS = ("latentprint-tracking", "latentprint-system-metrics")


class Timed:
    """A run that takes the processor time of its calls, in seconds."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.seconds = 0.0

    def log_params(self, params: Mapping[str, Any]) -> None:
        self._take(self._run.log_params, params)

    def log_input(self, what: Input, context: str) -> None:
        self._take(self._run.log_input, what, context)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self._take(self._run.log_metrics, metrics, step)

    def log_artifact(self, path: Path) -> None:
        self._take(self._run.log_artifact, path)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._take(self._run.set_tags, tags)

    def _take(self, call: Any, *arguments: Any) -> None:
        started = time.thread_time()
        call(*arguments)
        self.seconds += time.thread_time() - started


def main() -> None:
    """Print `ratio logging_calls VALUE (target <= 0.02)`, and `logging_cost`, of a training of some three minutes."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        split = draw_split(_DIGITS.open(), members=_MEMBERS, non_members=_MEMBERS, seed=0)
        made = _make_store(root)
        run = new_run(default_uri(root), "train", "mae", "key", root / "mlflow" / "artifacts")
        with tracked(run, Console(stderr=True)):
            timed, started = Timed(run), time.perf_counter()
            train("mae", _OPTIONS, _DIGITS, split, root / "mae", epochs=_EPOCHS, threads=1, tracker=timed)
            seconds, beside = time.perf_counter() - started, _processor_seconds()
    cost = timed.seconds + beside
    print(f"a training of {seconds:.1f} s: {timed.seconds:.2f} s in calls, {beside:.2f} s beside it")
    print(f"a new local store: {made:.1f} s more, once")
    print(f"ratio logging_calls {timed.seconds / seconds:.4f} (target <= {_TARGET})")
    print(f"ratio logging_cost {cost / seconds:.4f} (target <= {_TARGET})")


def _make_store(root: Path) -> float:
    """Make the store in a process of its own; returns the processor time that this took beyond loading MLflow."""
    command = "import sys, time; from latentprint.core.tracking import store; start = time.process_time(); "
    command += "store.connect(sys.argv[1]); print(time.process_time() - start)"
    (root / "mlflow").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", command, default_uri(root)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def _processor_seconds() -> float:
    """What the threads that log have taken so far."""
    own = {thread.native_id for thread in threading.enumerate() if thread.name in _THREADS}
    return float(sum(one.user_time + one.system_time for one in psutil.Process().threads() if one.id in own))


if __name__ == "__main__":
    main()
