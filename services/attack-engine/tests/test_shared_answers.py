"""Answers that machines without a common disk keep together: in the storage before they count, and one log a shard."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking.answer_store import FOR_GOOD, AnswerStore
from latentprint.core.mirror import Mirror, mirrored
from latentprint.core.storage import Storage

KEYS = np.array([bytes([65 + i]) * 16 for i in range(6)], dtype="S16")
ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    with mirrored(tmp_path / "one", (tmp_path / "storage").as_uri()) as mirror:
        assert mirror is not None
        yield mirror


def found(folder: Path) -> dict[bytes, list[float]]:
    """What a store in `folder` knows of `KEYS`."""
    read = AnswerStore(folder).read(KEYS)
    return {
        bytes(KEYS[place]): row.tolist() for places, rows, _ in read for place, row in zip(places, rows, strict=True)
    }


def on_another_machine(mirror: Mirror, tmp_path: Path) -> dict[bytes, list[float]]:
    other = Mirror(tmp_path / "two", Storage(mirror.storage.url))
    other.pull(other.root / "answers" / "*")
    return found(other.root / "answers")


def test_every_write_is_with_the_others_at_once_and_forgotten_everywhere(mirror: Mirror, tmp_path: Path) -> None:
    store = AnswerStore(mirror.root / "answers", "signal-shard")
    for start in (0, 2):
        part = slice(start, start + 2)
        store.write({"embedding": (KEYS[part], ROWS[part])})  # and killed then: nothing is closed
    assert on_another_machine(mirror, tmp_path) == {bytes(KEYS[i]): ROWS[i].tolist() for i in range(4)}
    AnswerStore(mirror.root / "answers").remove("signal")
    assert mirror.storage.listed("runs/answers") == {}
    assert found(mirror.root / "answers") == {}


def test_what_is_kept_for_good_becomes_one_log_a_shard(mirror: Mirror, tmp_path: Path) -> None:
    store = AnswerStore(mirror.root / "answers")
    for shard in (slice(0, 3), slice(3, 6)):
        for i in range(shard.start, shard.stop):
            store.write({"embedding": (KEYS[i : i + 1], ROWS[i : i + 1])})
        store.gather()
    logs = mirror.storage.listed("runs/answers")
    assert len(logs) == 2
    assert all(Path(name).name.startswith(FOR_GOOD) for name in logs)
    assert on_another_machine(mirror, tmp_path) == {bytes(KEYS[i]): ROWS[i].tolist() for i in range(6)}


def test_answers_of_a_model_that_changed_are_taken_back_in_the_storage_too(mirror: Mirror, tmp_path: Path) -> None:
    store = AnswerStore(mirror.root / "answers")
    store.write({"embedding": (KEYS, ROWS)})
    store.remove_since(0.0)
    assert on_another_machine(mirror, tmp_path) == {}
