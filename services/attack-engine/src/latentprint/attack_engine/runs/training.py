"""The experiment's trainings, with a bar each, and what of them goes to MLflow."""

from collections.abc import Sequence

from rich.console import Console

from latentprint.attack_engine.asking.extract import ray_session
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.display import bars
from latentprint.attack_engine.runs.victims import VictimJob, make_victims
from latentprint.core.bundles import read_card
from latentprint.core.tracking import Run, finishing


def train_missing(jobs: Sequence[VictimJob], parent: Run, experiment: Experiment, console: Console) -> None:
    """Train the victims that are not there yet; each has a run below `parent`, whether trained now or before."""
    distinct = {job.key: job for job in jobs}.values()
    missing = [job for job in distinct if not job.finished]
    if missing:
        with ray_session(experiment.workers), bars(console) as progress:
            tracked = [(job, open_record(parent, job)) for job in missing]
            make_victims(tracked, progress, side_by_side=experiment.trainings)
    for job in distinct:
        if not parent.has_finished(job.key):
            _record_card(parent, job)


def open_record(parent: Run, job: VictimJob) -> Run:
    """The MLflow run below `parent` that a victim's training is logged to."""
    run = parent.child(job.choice.name, job.key)
    run.set_tags({"latentprint.kind": job.kind, "latentprint.bundle": str(job.folder)})
    run.log_dataset(job.dataset.name, job.split.dataset_digest, "training")
    run.log_dataset("split", job.split.digest, "split")
    return run


def _record_card(parent: Run, job: VictimJob) -> None:
    """Log a victim that was trained before this store knew of it, from its card."""
    card = read_card(job.folder)
    summary = dict(card.training)
    with finishing(open_record(parent, job)) as run:
        run.log_params({"recipe": card.recipe, "options": card.options})
        for point in summary.pop("history", []):
            metrics = dict(point)
            run.log_metrics(metrics, step=int(metrics.pop("epoch")))
        run.log_metrics({name: value for name, value in summary.items() if isinstance(value, float)})
