"""Answers kept by sample and output: who finds them again, and what a kill, a full log or another writer leaves."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking import AnswerStore, Counts, EndpointSpec, LedgerSpec
from latentprint.attack_engine.asking.answer_log import Keys
from latentprint.attack_engine.asking.answer_store import answer_keys, sample_digests

_OUTPUTS = ("embedding", "feature_map")


def _images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def _numbers(start: int, count: int) -> tuple[Keys, NDArray[np.float32]]:
    """Keys and answers, float32 [count, 2], of consecutive numbers."""
    numbers = np.arange(start, start + count)
    keys = np.array([int(n).to_bytes(16, "big") for n in numbers], dtype="S16")
    return keys, np.stack([numbers, -numbers], axis=1).astype(np.float32)


def _found(store: AnswerStore, keys: Keys) -> dict[int, float]:
    """First value of each answer found, by its key's place."""
    return {
        int(place): float(row[0])
        for places, rows, _ in store.read(keys)
        for place, row in zip(places, rows, strict=True)
    }


def _asked(spec: EndpointSpec, kept: AnswerStore, images: NDArray[np.uint8], *outputs: str) -> Counts:
    with spec.open(kept=kept) as endpoint:
        endpoint.query(images, outputs)
        return endpoint.counts


def test_any_size_of_request_and_any_part_of_the_samples_finds_what_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    spec, images = EndpointSpec(f"local:{tiny_bundle}", images_per_request=8), _images(30)
    with spec.open(kept=AnswerStore(tmp_path)) as endpoint:
        first = endpoint.query(images[:20], _OUTPUTS)
    for size in (1, 7, 20):
        with replace(spec, images_per_request=size).open(LedgerSpec(budget=0), kept=AnswerStore(tmp_path)) as endpoint:
            again = endpoint.query(images[:20][::-1], _OUTPUTS)
            assert endpoint.counts == Counts(cached=20)
        for name in _OUTPUTS:
            assert again[name].tobytes() == first[name][::-1].tobytes()
    other = replace(spec, images_per_request=3)
    assert _asked(other, AnswerStore(tmp_path), images[3:9], "embedding") == Counts(cached=6)
    assert _asked(other, AnswerStore(tmp_path), images[15:], "embedding") == Counts(10, 10, cached=5)
    assert _asked(other, AnswerStore(tmp_path), images, *_OUTPUTS) == Counts(10, 10, cached=20)


def test_another_serving_another_output_and_another_sample_share_nothing() -> None:
    images = _images(4)
    digests = sample_digests(images)
    keys = [answer_keys(who, what, digests) for who in ("one", "two") for what in _OUTPUTS]
    keys.append(answer_keys("one", "embedding", sample_digests(images.transpose(0, 2, 1, 3))))
    keys.append(answer_keys("one", "embedding", sample_digests(images.reshape(4, 16, 64, 3))))
    assert len({bytes(key) for part in keys for key in part}) == 6 * 4
    np.testing.assert_array_equal(digests, sample_digests(images.copy()))


def test_a_log_that_was_cut_off_anywhere_keeps_what_was_whole(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "whole")
    for start in (0, 3):
        store.write({"embedding": _numbers(start, 3)})
    store.close()
    (log,) = (tmp_path / "whole").iterdir()
    content, half = log.read_bytes(), log.stat().st_size // 2
    for end in (*range(half, half + 60), *range(half + 60, len(content), 11)):
        log.write_bytes(content[:end])
        assert _found(AnswerStore(log.parent), _numbers(0, 6)[0]) == {0: 0.0, 1: 1.0, 2: 2.0}
    flipped = bytearray(content)
    flipped[-1] ^= 1
    log.write_bytes(bytes(flipped))
    assert _found(AnswerStore(log.parent), _numbers(0, 6)[0]) == {0: 0.0, 1: 1.0, 2: 2.0}


def test_more_than_is_held_in_memory_is_found_through_the_index_and_beyond_it(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    for start in range(0, 150_000, 5_000):
        store.write({"embedding": _numbers(start, 5_000)})
    assert list(tmp_path.glob("*.index"))
    wanted = np.random.default_rng(0).permutation(160_000)[:4_000]
    keys = _numbers(0, 160_000)[0][wanted]
    for reader in (store, AnswerStore(tmp_path)):
        assert reader.answers() == 150_000
        found = _found(reader, keys)
        assert found == {place: float(n) for place, n in enumerate(wanted) if n < 150_000}


def test_what_is_younger_than_a_time_is_forgotten_and_written_anew(tmp_path: Path) -> None:
    store, reader = AnswerStore(tmp_path), AnswerStore(tmp_path)
    store.write({"embedding": _numbers(0, 4)})
    assert reader.answers() == 4
    time.sleep(0.02)
    between = time.time()
    time.sleep(0.02)
    store.write({"embedding": _numbers(4, 4)})
    assert reader.answers() == 8
    AnswerStore(tmp_path).remove_since(between)
    assert set(_found(reader, _numbers(0, 8)[0])) == {0, 1, 2, 3}
    store.write({"embedding": _numbers(40, 4)})
    assert _found(reader, _numbers(40, 4)[0]) == {0: 40.0, 1: 41.0, 2: 42.0, 3: 43.0}
    assert set(_found(reader, _numbers(0, 8)[0])) == {0, 1, 2, 3}


def test_labels_part_what_is_kept_for_good_from_what_is_not(tmp_path: Path) -> None:
    good, one, two = (AnswerStore(tmp_path, label) for label in ("kept", "aa-1", "aa-2"))
    for start, store in enumerate((good, one, two)):
        store.write({"embedding": _numbers(10 * start, 2)})
    assert good.labels("aa") == {"aa-1", "aa-2"}
    one.remove("aa-1")
    assert (good.answers(), good.answers("aa")) == (4, 2)
    one.write({"embedding": _numbers(10, 2)})
    good.remove("aa")
    assert set(_found(good, _numbers(0, 30)[0])) == {0, 1}


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from latentprint.attack_engine.asking import AnswerStore
store, first, count = AnswerStore(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
for start in range(first, first + count, 10):
    numbers = np.arange(start, start + 10)
    keys = np.array([int(n).to_bytes(16, "big") for n in numbers], dtype="S16")
    rows = np.stack([numbers, -numbers], axis=1).astype(np.float32)
    store.write({"embedding": (keys, np.repeat(rows, int(sys.argv[4]), axis=1))})
    print(start + 10, flush=True)
"""


def _writer(folder: Path, first: int, count: int, width: int = 1) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _WRITER, str(folder), str(first), str(count), str(width)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed_loses_no_answer_that_it_had_written(tmp_path: Path) -> None:
    process = _writer(tmp_path, 0, 10**7, width=40_000)
    assert process.stdout is not None
    for _ in range(6):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().split()]
    process.wait()
    written = max(said, default=60)
    found = _found(AnswerStore(tmp_path), _numbers(0, written + 20)[0])
    assert set(range(written)) <= set(found) <= set(range(written + 10))
    assert all(value == place for place, value in found.items())


def test_two_writers_at_once_keep_all_and_a_reader_sees_it_as_it_comes(tmp_path: Path) -> None:
    writers = [_writer(tmp_path, 0, 3_000), _writer(tmp_path, 3_000, 3_000)]
    reader, keys, seen = AnswerStore(tmp_path), _numbers(0, 6_000)[0], 0
    while any(writer.poll() is None for writer in writers):
        found = _found(reader, keys)
        assert len(found) >= seen
        assert all(value == place for place, value in found.items())
        seen = len(found)
        time.sleep(0.02)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(_found(reader, keys)) == 6_000


def test_two_endpoints_at_once_find_each_others_answers(tiny_bundle: Path, tmp_path: Path) -> None:
    spec, images = EndpointSpec(f"local:{tiny_bundle}", images_per_request=4), _images(12)
    with spec.open(kept=AnswerStore(tmp_path)) as one, spec.open(kept=AnswerStore(tmp_path)) as other:
        one.query(images[:8], ("embedding",))
        other.query(images[4:], ("embedding",))
        one.query(images, ("embedding",))
        assert (one.counts, other.counts) == (Counts(8, 8, cached=12), Counts(4, 4, cached=4))
