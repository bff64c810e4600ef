import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from rich.console import Console

from latentprint.attack_engine.asking import Counts, EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.plan import ExtractionPlan, plan_extraction
from latentprint.attack_engine.asking.signal_store import read_signals
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import BudgetError, EndpointError

pytestmark = pytest.mark.slow

_DIGITS = DatasetSpec("digits", {"side": 32})
_IDS = np.arange(24)
_SIGNAL = PartCropSignal(crops=31)
_TOTAL = 24 * 32
_BEFORE = _TOTAL // 8  # within a shard, whether one worker got there or two
_RATE = 40.0  # images a second: what is left then takes a quarter of a minute, however fast the machine


def _spec(url: str, **options: Any) -> EndpointSpec:
    return EndpointSpec(url, **({"images_per_request": 16, "in_flight": 2, "connect_seconds": 30.0} | options))


def _plan(spec: EndpointSpec, folder: Path, **options: Any) -> ExtractionPlan:
    return plan_extraction([_SIGNAL], _DIGITS, _IDS, spec, folder, **({"shard_size": 6} | options))


def _values(plan: ExtractionPlan) -> NDArray[np.float32]:
    return read_signals(plan.signals[0].folder, _IDS).values


@pytest.fixture(scope="module")
def undisturbed(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    plan = _plan(_spec(f"local:{tiny_bundle}", threads=1), tmp_path_factory.mktemp("undisturbed"))
    _work(plan)
    return _values(plan)


def test_two_signals_over_a_live_endpoint(
    tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None, undisturbed: NDArray[np.float32]
) -> None:
    server = serve(tiny_bundle)
    plan = plan_extraction(
        [PlainAnswer("embedding"), _SIGNAL], _DIGITS, _IDS, _spec(server.url), tmp_path, budget=_TOTAL + 24
    )
    with (tmp_path / "progress").open("w") as log:
        (results,) = extract([plan], console=Console(file=log))
    assert [result.counts for result in results] == [Counts(24, 24), Counts(_TOTAL, _TOTAL)]
    assert server.images("answered") == _TOTAL + 24
    assert read_signals(results[0].plan.folder, _IDS).values.shape == (24, 32)
    np.testing.assert_allclose(read_signals(results[1].plan.folder, _IDS).values, undisturbed, atol=1e-5)
    assert "48 of 48 samples" in (tmp_path / "progress").read_text()
    again = plan_extraction([_SIGNAL], _DIGITS, _IDS, _spec(server.url), tmp_path, budget=_TOTAL + 24)
    assert again.pending == 0
    extract([again])
    assert server.images("answered") == _TOTAL + 24


def test_two_workers_share_one_budget(tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None) -> None:
    server, budget = serve(tiny_bundle), 400
    plan = _plan(_spec(server.url), tmp_path)
    tight = replace(plan, ledger=replace(plan.ledger, budget=budget))
    with pytest.raises(BudgetError, match="of the budget of 400 are left"):
        extract([tight], workers=2)
    assert 0 < server.images("answered") <= budget
    with tight.ledger.open() as ledger:
        assert ledger.spent <= budget
    (results,) = extract([_plan(_spec(server.url), tmp_path, budget=_TOTAL)])
    assert results[0].counts.answered == server.images("answered") == _TOTAL


def test_a_restart_of_the_server_is_survived(
    tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None, undisturbed: NDArray[np.float32]
) -> None:
    server = serve(tiny_bundle)
    plan = _plan(_spec(server.url, images_per_second=300.0), tmp_path)

    def restart() -> None:
        while server.images("answered") < _TOTAL // 4:
            time.sleep(0.05)
        server.kill()
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    (results,) = extract([plan])
    thread.join()
    assert 0 < server.images("answered") < _TOTAL
    assert results[0].counts.answered == _TOTAL
    assert results[0].counts.retried > 0
    np.testing.assert_allclose(_values(plan), undisturbed, atol=1e-5)


def test_an_endpoint_that_stays_away(tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None) -> None:
    server = serve(tiny_bundle)
    plan = _plan(_spec(server.url, connect_seconds=1.0, total_seconds=1.0), tmp_path)
    server.kill()
    with pytest.raises(EndpointError, match="does not answer"):
        extract([plan])


def test_another_model_than_planned(tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None) -> None:
    server = serve(tiny_bundle)
    plan = _plan(_spec(server.url), tmp_path)
    with pytest.raises(EndpointError, match="another model than when"):
        extract([replace(plan, card=replace(plan.card, serving_digest="before"))])


_PROGRAM = """
import signal, sys
from pathlib import Path
import numpy as np
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import LatentprintError
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in a shell's background inherits it as ignored
spec = EndpointSpec(
    sys.argv[1], images_per_request=16, in_flight=2, connect_seconds=30.0, images_per_second=float(sys.argv[4])
)
plan = plan_extraction(
    [PartCropSignal(crops=31)], DatasetSpec("digits", {"side": 32}), np.arange(24), spec, Path(sys.argv[2]),
    budget=int(sys.argv[3]), shard_size=12,
)
try:
    extract([plan])
except LatentprintError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def _start_and_wait_for_answers(server: Any, folder: Path) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, server.url, str(folder), str(_TOTAL), str(_RATE)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )
    while server.images("answered") < _BEFORE:
        assert process.poll() is None
        time.sleep(0.02)
    return process


def test_killed_on_the_way_and_started_again_asks_nothing_twice(
    tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None, undisturbed: NDArray[np.float32]
) -> None:
    server = serve(tiny_bundle)
    process = _start_and_wait_for_answers(server, tmp_path)
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    process.wait()
    assert _BEFORE <= server.images("answered") < _TOTAL
    plan = _plan(_spec(server.url), tmp_path, budget=_TOTAL, shard_size=12)
    assert 0 < plan.pending < _TOTAL
    (results,) = extract([plan])
    assert server.images("answered") == _TOTAL
    assert results[0].counts.answered == _TOTAL
    assert results[0].counts.cached > 0
    np.testing.assert_allclose(_values(plan), undisturbed, atol=1e-5)


def test_ctrl_c_says_how_to_go_on_and_loses_nothing(
    tiny_bundle: Path, serve: Any, tmp_path: Path, cluster: None, undisturbed: NDArray[np.float32]
) -> None:
    server = serve(tiny_bundle)
    process = _start_and_wait_for_answers(server, tmp_path)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert _BEFORE <= server.images("answered") < _TOTAL
    assert "run the same command again to go on" in said
    assert str(tmp_path) in said
    plan = _plan(_spec(server.url), tmp_path, budget=_TOTAL, shard_size=12)
    extract([plan])
    assert server.images("answered") == _TOTAL
    np.testing.assert_allclose(_values(plan), undisturbed, atol=1e-5)


def test_a_server_that_comes_back_with_another_bundle_leaves_no_row(
    tiny_bundle: Path, other_bundle: Path, serve: Any, tmp_path: Path
) -> None:
    """The same name on the same port, in mid-extraction; the digest that it publishes is another."""
    server = serve(tiny_bundle)
    plan = _plan(_spec(server.url, images_per_second=150.0), tmp_path / "runs", shard_size=12)
    assert plan.canaries == 0

    def restart() -> None:
        while server.images("answered") < _TOTAL // 8:
            time.sleep(0.05)
        server.kill()
        server.bundle = other_bundle
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    with pytest.raises(EndpointError, match="another model than when the extraction was planned"):
        _work(plan)
    thread.join()
    assert not list(plan.signals[0].folder.glob("shard-*"))
    new = _plan(_spec(server.url), tmp_path / "runs", shard_size=12)
    assert (new.card.identity != plan.card.identity, new.pending) == (True, _TOTAL)
    server.kill()
    server.bundle = tiny_bundle
    server.start()
    again = _plan(_spec(server.url), tmp_path / "runs", shard_size=12)
    _work(again)
    in_this_process = _plan(_spec(f"local:{tiny_bundle}", threads=1), tmp_path / "local")
    _work(in_this_process)
    np.testing.assert_allclose(_values(again), _values(in_this_process), atol=1e-5)


def _work(plan: ExtractionPlan) -> None:
    """Extract with one worker in this process."""
    worker = ShardWorker([plan])
    try:
        for task in tasks_of([plan]):
            worker.run(task)
    finally:
        worker.close()
