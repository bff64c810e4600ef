"""The scheduler on a real Ray: order, limits, steps in this process, errors and what was finished before."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from latentprint.attack_engine.scheduling.scheduler import Scheduler, make
from latentprint.attack_engine.scheduling.task import FITTING, MAKING, TaskProgress
from latentprint.attack_engine.scheduling.workers import RayWorkers, ray_session
from latentprint.core.errors import DataError
from latentprint.core.mirror import mirrored, scratch
from latentprint.core.storage import Storage

LIMITS = {FITTING: 2, MAKING: 2}


@dataclass(frozen=True)
class Writing:
    """Writes a file that says when it began and ended."""

    path: Path
    needs: tuple["Writing", ...] = ()
    limit: str = MAKING
    seconds: float = 0.0
    fails: bool = False
    title = "writing"
    cores = 0.5
    on_gpu = False

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def finished(self) -> bool:
        return self.path.exists()

    def progress(self) -> TaskProgress:
        return TaskProgress(float(self.finished), unit="files")

    def make(self) -> None:
        if self.fails:
            raise DataError(f"{self.path.name} cannot be written")
        began = time.time()
        time.sleep(self.seconds)
        self.path.write_text(f"{began} {time.time()}")

    @property
    def span(self) -> tuple[float, float]:
        began, ended = map(float, self.path.read_text().split())
        return began, ended


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with ray_session(2):
        yield


def test_what_is_needed_is_made_first_and_nothing_twice(tmp_path: Path) -> None:
    first = Writing(tmp_path / "first")
    second = Writing(tmp_path / "second", needs=(first,))
    before = Writing(tmp_path / "before")
    before.path.write_text("0 0")
    make([second, second, before, Writing(tmp_path / "third", needs=(second, before))], LIMITS, Console(quiet=True))
    assert first.span[1] <= second.span[0]
    assert before.path.read_text() == "0 0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "first", "second", "third"]


def test_no_more_run_side_by_side_than_the_limits_allow(tmp_path: Path) -> None:
    make([Writing(tmp_path / "warm")], LIMITS, Console(quiet=True))
    tasks = [Writing(tmp_path / str(n), seconds=0.3) for n in range(4)]
    make(tasks, {MAKING: 1}, Console(quiet=True))
    spans = sorted(task.span for task in tasks)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_steps_are_taken_when_what_they_wait_for_is_done_and_may_add_more(tmp_path: Path) -> None:
    scheduler, taken = Scheduler(LIMITS, Console(quiet=True)), []
    first, second = Writing(tmp_path / "first"), Writing(tmp_path / "second")

    def after_first() -> None:
        taken.append(first.finished)
        scheduler.when([second], lambda: taken.append(second.finished))

    scheduler.when([first], after_first)
    scheduler.until(lambda: len(taken) == 2, lambda: taken.append(True))
    scheduler.run()
    assert taken == [True, True, True]


def test_an_error_arrives_as_what_it_is_and_what_was_done_is_kept(tmp_path: Path) -> None:
    done, failing = Writing(tmp_path / "done"), Writing(tmp_path / "failing", fails=True)
    with pytest.raises(DataError, match="failing cannot be written"):
        make([done, Writing(tmp_path / "failing", fails=True, needs=(done,))], LIMITS, Console(quiet=True))
    assert done.finished
    assert not failing.finished


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        make([Writing(tmp_path / "a"), Writing(tmp_path / "b")], LIMITS, Console(file=log))
    assert "writing: 2 of 2 files" in (tmp_path / "log").read_text()


@dataclass(frozen=True)
class GoingOn:
    """Fails in the middle, having kept how far it was; what it ends in says where it began again, and what it read."""

    source: Path
    result: Path
    title = "going on"
    limit = MAKING
    cores = 0.5
    on_gpu = False
    needs = ()

    @property
    def key(self) -> str:
        return str(self.result)

    @property
    def reads(self) -> tuple[Path]:
        return (self.source,)

    @property
    def work(self) -> tuple[Path]:
        return (self.result.with_name("work"),)

    @property
    def finished(self) -> bool:
        return (self.result / "last").exists()

    def progress(self) -> TaskProgress:
        return TaskProgress(float(self.finished))

    def make(self) -> None:
        step = self.work[0] / "step"
        if not step.exists():
            step.parent.mkdir(parents=True)
            step.write_text("1")
            raise DataError("lost half-way")
        self.result.mkdir(parents=True)
        for name in ("first", "last"):
            (self.result / name).write_text(f"{step.read_text()} {self.source.read_text()}")
        shutil.rmtree(self.work[0])


def test_a_worker_with_another_disk_goes_on_where_one_was_lost(tmp_path: Path) -> None:
    storage = Storage((tmp_path / "storage").as_uri())
    theirs = scratch(storage).root
    with mirrored(tmp_path / "runs", storage.url) as mirror:
        assert mirror is not None
        task = GoingOn(mirror.root / "source", mirror.root / "result")
        mirror.root.mkdir()
        task.source.write_text("read")
        mirror.push(task.source)
        workers = RayWorkers(mirror)
        with workers.session(2):
            with pytest.raises(DataError, match="lost half-way"):
                make([task], LIMITS, Console(quiet=True), workers)
            assert not (mirror.root / "work").exists()  # it was made there
            assert (theirs / "work" / "step").exists()
            shutil.rmtree(theirs)
            make([task], LIMITS, Console(quiet=True), workers)
    assert (task.result / "last").read_text() == "1 read"
    assert sorted(storage.listed("")) == [
        "runs/result.whole",
        "runs/result/first",
        "runs/result/last",
        "runs/source",
    ]
    shutil.rmtree(theirs)
