"""A stage of a search on Ray Tune: each candidate is a trial that trains, attacks and reports."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune
from rich.progress import Progress

from latentprint.attack_engine.asking.worker import describe, restore
from latentprint.attack_engine.runs.candidates import Candidate
from latentprint.attack_engine.runs.gpus import gpu_share
from latentprint.attack_engine.runs.victims import VictimJob, make_victim, update_bar
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.text import printable
from latentprint.core.tracking import Run

_POLL_SECONDS = 0.5
_RETRIES = 2
Trials = Mapping[float, tuple[Candidate, Run | None]]


def measure_side_by_side(trials: Trials, folder: Path, progress: Progress, *, side_by_side: int) -> None:
    """Train and measure candidates on the Ray cluster that this process is connected to, with a bar for each.

    Args:
        trials: by lower bound, with the MLflow run that the training is logged to; None where it is trained already.
        folder: where Ray Tune keeps its results.
        progress: where the bars go.
        side_by_side: trials at once; each has a core, and an equal share of the GPUs where there are any.

    Raises:
        Interrupted: on Ctrl-C. Run again, finished candidates stay and trainings go on from their checkpoints.
        LatentprintError: a trial's own error, after the others have ended.
    """
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # else relative paths lead elsewhere in a trial
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # else Ray Tune writes to stdout however quiet it is to be
    trial = tune.with_parameters(_trial, trials=trials)
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1, "gpu": gpu_share(side_by_side)}),
        param_space={"lower": tune.grid_search(list(trials))},
        tune_config=tune.TuneConfig(max_concurrent_trials=side_by_side),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent.resolve()),
            failure_config=tune.FailureConfig(max_failures=_RETRIES),
            verbose=0,
        ),
    )
    with _bars(progress, [candidate.job for candidate, run in trials.values() if run is not None]):
        results = tuner.fit()
    for result in results:
        if result.error is not None:
            raise result.error
        metrics = result.metrics or {}
        if "sentence" in metrics:
            raise restore(metrics["kind"], metrics["sentence"])
    if any(candidate.measured is None for candidate, _ in trials.values()):
        raise Interrupted("Stopped with every finished candidate kept: run the same command to go on.")


def _trial(config: Mapping[str, Any], trials: Trials) -> None:
    """Train and measure one candidate. A `LatentprintError` is reported, so that it arrives as what it is."""
    candidate, run = trials[config["lower"]]
    try:
        if run is not None:
            make_victim(candidate.job, run)
        tune.report(asdict(candidate.measure()))
    except LatentprintError as error:
        kind, sentence = describe(error)
        tune.report({"kind": kind, "sentence": sentence})


@contextmanager
def _bars(progress: Progress, jobs: Sequence[VictimJob]) -> Iterator[None]:
    """A bar for each training, kept up to date by a thread: Ray Tune has this one, and pickles its callbacks."""
    shown = [(job, progress.add_task(printable(f"train {job.choice.name}"), total=None, rate="")) for job in jobs]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL_SECONDS):
            for job, bar in shown:
                update_bar(progress, bar, job)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    for job, bar in shown:
        if job.finished:
            progress.update(bar, total=1, completed=1, refresh=True)
