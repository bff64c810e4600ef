"""Several workers through Ray Train: what the process that asked for them does, and what each of them is told."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

from latentprint.core.bundles import CARD, BundleCard
from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.mirror import Mirror, mirror_of, scratch
from latentprint.core.parcel import packed, unpacked
from latentprint.core.storage import Storage
from latentprint.core.uncompiled import leave_compiler_out
from latentprint.core.upkeep import kept_up
from latentprint.trainer.exchange import Exchange, never
from latentprint.trainer.interruption import Interruption
from latentprint.trainer.job import Job, run_first, run_other
from latentprint.trainer.progress import OnProgress, Progress, read_progress
from latentprint.trainer.ray_session import ray_session
from latentprint.trainer.session import Tracker, interrupted
from latentprint.trainer.workers import Workers
from latentprint.trainer.workspace import Workspace, work_folder

_POLL_SECONDS = 0.2
_FETCH_SECONDS = 2.0  # between two looks at the storage
_RESTARTS = 3  # of a training whose workers are lost, where its checkpoint is in a storage


def train_on_ray(
    job: Job, workers: int, workspace: Workspace, tracker: Tracker | None, on_progress: OnProgress | None
) -> BundleCard:
    """Train with several workers; arguments and errors as for `train`.

    Uses the Ray session that is already up, or starts a local one. Progress and metrics come back through files in
    the work folder, and a request to stop goes out through one; where that folder is mirrored, through the storage.
    There the checkpoint goes too, and the training is restarted from it where a worker is lost.

    Raises:
        UsageError: Ray is not installed.
        LatentprintError: a worker died.
    """
    mirror = mirror_of(workspace.folder)
    desk = _Desk(work_folder(workspace.folder).absolute(), mirror)
    desk.clear()
    place = _Place.of(mirror, workspace)
    try:
        with ray_session(workers), Interruption() as interruption:
            fit = _Fit(job, workers, place)
            fit.start()
            while fit.is_alive():
                fit.join(_POLL_SECONDS)
                if interruption.requested:
                    desk.ask_to_stop()
                desk.relay(tracker, on_progress)
            desk.relay(tracker, on_progress, at_last=True)
            if fit.error is not None:
                raise _told(fit.error)
        if mirror is not None:
            mirror.pull_whole(workspace.folder)
    finally:
        desk.clear()
        place.clear()
    card = workspace.finished()
    if card is None:
        raise interrupted(read_progress(workspace.progress), workspace)
    return card


class _Desk:
    """Where the asking process and the first worker leave notes for one another."""

    def __init__(self, folder: Path, mirror: Mirror | None = None) -> None:
        self.folder = folder
        self._mirror = mirror
        self._fetched = time.monotonic()
        self.stop = folder / "stop"
        self.metrics = folder / "metrics.jsonl"
        self._read = 0
        self._shown: Progress | None = None

    def clear(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.stop, self.metrics):
            path.unlink(missing_ok=True)
            if self._mirror is not None:
                self._mirror.remove(path)

    def ask_to_stop(self) -> None:
        if not self.stop.exists():
            self.stop.touch()
            if self._mirror is not None:
                self._mirror.push(self.stop)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([dict(metrics), step]) + "\n")

    def relay(self, tracker: Tracker | None, on_progress: OnProgress | None, *, at_last: bool = False) -> None:
        """Pass on what the first worker wrote since the last time."""
        if self._mirror is not None and (at_last or time.monotonic() - self._fetched > _FETCH_SECONDS):
            self._fetched = time.monotonic()
            for path in (self.metrics, self.folder / "progress.json"):
                self._mirror.pull(path)
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


@dataclass(frozen=True)
class _Place:
    """Where Ray Train keeps its own records of a run: in the work folder, or in the storage.

    Attributes:
        path: as its file system has it.
        storage: where it lies; None for a folder of this machine.
        key: below which it lies in the storage.
        mirror: of the bundle's folder.
    """

    path: str
    storage: Storage | None = None
    key: str = ""
    mirror: Mirror | None = None

    @classmethod
    def of(cls, mirror: Mirror | None, workspace: Workspace) -> "_Place":
        if mirror is None:
            return cls(str((work_folder(workspace.folder) / "ray").resolve()))
        key = f"train/{workspace.identity[:16]}"
        return cls(mirror.storage.place(key)[1], mirror.storage, key, mirror)

    def run_config(self) -> Any:
        from ray.train import FailureConfig, RunConfig

        if self.storage is None:
            return RunConfig(name="train", storage_path=self.path)
        failures = FailureConfig(max_failures=_RESTARTS)
        system, path = self.storage.place(self.key)
        return RunConfig(name="train", storage_path=path, storage_filesystem=system, failure_config=failures)

    def clear(self) -> None:
        if self.storage is None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        for key in self.storage.listed(self.key):
            self.storage.remove(key)


class _Fit(Thread):
    """Ray Train's run, in a thread of its own: in the main thread it would take Ctrl-C for itself and drop the work."""

    def __init__(self, job: Job, workers: int, place: _Place) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._job = job
        self._workers = workers
        self._place = place

    def run(self) -> None:
        from ray.train import ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpu = self._job.device == "cuda"
        mirror = self._place.mirror
        job = self._job if mirror is None else packed(self._job, mirror)
        task = {"job": job, "storage": self._place.storage, "place": os.getcwd()}
        trainer = TorchTrainer(
            _work,
            train_loop_config=task,
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=self._workers, use_gpu=gpu, resources_per_worker=_share(gpu)),
            run_config=self._place.run_config(),
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
    context = get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    mirror = None if task["storage"] is None else scratch(task["storage"])
    if mirror is None:
        os.chdir(task["place"])
        job: Job = task["job"]
    else:
        job = replace(unpacked(task["job"], mirror, lambda reference: reference), resume=True)
        mirror.pull(work_folder(job.folder))
    job = replace(job, device=str(get_device()))
    setup = job.setup()
    if not workers.first:
        run_other(job, setup, Exchange(workers, never))
        return
    desk = _Desk(work_folder(job.folder).absolute())
    with nullcontext() if mirror is None else _kept_in_storage(job.folder, desk, mirror):
        try:
            run_first(job, setup, Exchange(workers, desk.stop.exists), desk, None)
        except Interrupted:
            return  # the asking process finds no bundle, and tells


def _kept_in_storage(bundle: Path, desk: _Desk, mirror: Mirror) -> AbstractContextManager[None]:
    """While the first worker trains, its checkpoint and notes go to the storage; a request to stop comes from there."""

    def meanwhile() -> None:
        mirror.push(desk.folder)
        mirror.pull(desk.stop)

    def at_last() -> None:
        if (bundle / CARD).exists():
            mirror.push_whole(bundle)
        mirror.push(desk.folder)

    return kept_up(meanwhile, at_last)


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
