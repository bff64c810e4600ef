"""Several workers through Ray Train: what the process that asked for them does, and what each of them is told."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from latentprint.core.bundles import BundleCard
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.uncompiled import leave_compiler_out
from latentprint.trainer.exchange import Exchange, never
from latentprint.trainer.interruption import Interruption
from latentprint.trainer.job import Job, run_first, run_other
from latentprint.trainer.progress import OnProgress, Progress, read_progress
from latentprint.trainer.ray_session import ray_session
from latentprint.trainer.session import Tracker, interrupted
from latentprint.trainer.workers import Workers
from latentprint.trainer.workspace import Workspace, work_folder

_POLL_SECONDS = 0.2


def train_on_ray(
    job: Job, workers: int, workspace: Workspace, tracker: Tracker | None, on_progress: OnProgress | None
) -> BundleCard:
    """Train with several workers; arguments and errors as for `train`.

    Uses the Ray session that is already up, or starts a local one. Progress and metrics come back through files in
    the work folder, and a request to stop goes out through one.

    Raises:
        UsageError: Ray is not installed.
        LatentprintError: a worker died.
    """
    desk = _Desk(work_folder(workspace.folder).resolve())
    desk.clear()
    try:
        with ray_session(workers), Interruption() as interruption:
            fit = _Fit(job, workers, desk.folder)
            fit.start()
            while fit.is_alive():
                fit.join(_POLL_SECONDS)
                if interruption.requested:
                    desk.stop.touch()
                desk.relay(tracker, on_progress)
            desk.relay(tracker, on_progress)
            if fit.error is not None:
                raise _told(fit.error)
    finally:
        desk.clear()
    card = workspace.finished()
    if card is None:
        raise interrupted(read_progress(workspace.progress), workspace)
    return card


class _Desk:
    """Where the asking process and the first worker leave notes for one another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop = folder / "stop"
        self.metrics = folder / "metrics.jsonl"
        self._read = 0
        self._shown: Progress | None = None

    def clear(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.stop, self.metrics):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "ray", ignore_errors=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([dict(metrics), step]) + "\n")

    def relay(self, tracker: Tracker | None, on_progress: OnProgress | None) -> None:
        """Pass on what the first worker wrote since the last time."""
        if self.metrics.exists():
            lines = self.metrics.read_text(encoding="utf-8").split("\n")[:-1]  # the last is not whole yet
            for line in lines[self._read :]:
                metrics, step = json.loads(line)
                if tracker is not None:
                    tracker.log_metrics(metrics, step)
            self._read = len(lines)
        progress = read_progress(self.folder / "progress.json")
        if progress is not None and progress != self._shown and on_progress is not None:
            on_progress(progress)
        self._shown = progress


class _Fit(Thread):
    """Ray Train's run, in a thread of its own: in the main thread it would take Ctrl-C for itself and drop the work."""

    def __init__(self, job: Job, workers: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._job = job
        self._workers = workers
        self._folder = folder

    def run(self) -> None:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpu = self._job.device == "cuda"
        task = {"job": self._job, "folder": self._folder, "place": os.getcwd()}
        trainer = TorchTrainer(
            _work,
            train_loop_config=task,
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=self._workers, use_gpu=gpu, resources_per_worker=_share(gpu)),
            run_config=RunConfig(name="train", storage_path=str(self._folder / "ray")),
        )
        try:
            trainer.fit()
        except Exception as error:
            self.error = error


def _share(gpu: bool) -> dict[str, float]:
    return {"CPU": 1, "GPU": 1} if gpu else {"CPU": 1}


def _work(task: dict[str, Any]) -> None:
    """One worker, as Ray Train calls it."""
    from ray.train import get_context
    from ray.train.torch import get_device

    leave_compiler_out()
    os.chdir(task["place"])
    context = get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    job: Job = replace(task["job"], device=str(get_device()))
    setup = job.setup()
    if not workers.first:
        run_other(job, setup, Exchange(workers, never))
        return
    desk = _Desk(task["folder"])
    try:
        run_first(job, setup, Exchange(workers, desk.stop.exists), desk, None)
    except Interrupted:
        return  # the asking process finds no bundle, and tells


def _told(error: Exception) -> LatentprintError:
    """What went wrong in a worker, in its own words where it has some."""
    failures = getattr(error, "worker_failures", {}).values()
    causes = [getattr(failure, "_base_exc", failure) for failure in failures]
    known = [cause for cause in causes if isinstance(cause, LatentprintError)]
    if known:
        return known[0]
    first = str(causes[0] if causes else error).strip().splitlines()[-1:]
    return LatentprintError(
        f"A worker ended before its time ({' '.join(first)[:300]}): what the checkpoint holds is kept; "
        "give the same command with --resume."
    )
