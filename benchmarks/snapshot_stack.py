"""Fifty-one snapshots of a student evaluated together against one plain model after another, one thread.

Stacking saves what a pass costs beside its arithmetic: at small sizes at least half, beyond them ever less. The peak
memory of many chunks of samples is compared with that of one chunk, each in a process of its own.
"""

import copy
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from latentprint.attack_engine.models.stacked_snapshots import Chunk, StackedSnapshots
from latentprint.attack_engine.models.student import Student, StudentSpec

_SNAPSHOTS, _CLASSES = 51, 10
_ROUNDS = 15
_RESNET = StudentSpec("resnet18_cifar_narrow")
_SMALL, _LARGER = 0.5, 1.0
_CASES = {
    **{f"resnet_16px_{count}": (_RESNET, (count, 16, 16, 3), _SMALL) for count in (1, 2, 4)},
    "mlp_narrow_8": (StudentSpec("mlp", {"in_features": 64, "hidden": 32}), (8, 64), _SMALL),
    **{f"resnet_16px_{count}": (_RESNET, (count, 16, 16, 3), _LARGER) for count in (8, 16)},
    "resnet_32px_4": (_RESNET, (4, 32, 32, 3), _LARGER),
    "mlp_8": (StudentSpec("mlp", {"in_features": 600, "hidden": 256}), (8, 600), _LARGER),
}
_CHUNK, _CHUNKS, _MEMORY_TARGET = 32, 8, 1.1


def main() -> None:
    """Print the ratio of times of every case and that of memory; with a number as argument, that of samples, the peak.

    A ratio of times is that of the fastest of interleaved rounds.
    """
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print(_peak(int(sys.argv[1])))
        return
    for name, (spec, shape, target) in _CASES.items():
        print(f"ratio snapshot_stack_{name} {_share(spec, _samples(shape)):.2f} (target <= {target})")
    one, many = (_in_own_process(samples) for samples in (_CHUNK, _CHUNKS * _CHUNK))
    print(f"peak memory: {one} MiB for one chunk of {_CHUNK} samples, {many} MiB for {_CHUNKS}")
    print(f"ratio snapshot_stack_memory {many / one:.3f} (target <= {_MEMORY_TARGET})")


def _share(spec: StudentSpec, samples: Tensor) -> float:
    """Our time over that of separate passes."""
    students = _students(spec, tuple(samples.shape[1:]))
    plain = [copy.deepcopy(student).eval() for student in students]
    stacked = StackedSnapshots(students[0], [dict(student.state_dict()) for student in plain])

    @torch.inference_mode()
    def peer() -> None:
        inputs = students[0].inputs(samples)
        torch.stack([model(inputs) for model in plain])

    def ours() -> None:
        list(stacked.answers(samples))

    ours()
    peer()
    rounds = [(_seconds(ours), _seconds(peer)) for _ in range(_ROUNDS)]
    return min(own for own, _ in rounds) / min(other for _, other in rounds)


def _students(spec: StudentSpec, shape: tuple[int, ...]) -> list[Student]:
    return [Student(spec, "posterior", (_CLASSES,), shape, seed) for seed in range(_SNAPSHOTS)]


def _samples(shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 2:
        return torch.rand(shape, generator=generator)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def _in_own_process(samples: int) -> int:
    command = [sys.executable, "-m", "benchmarks.snapshot_stack", str(samples)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(samples: int) -> int:
    """Ask all snapshots about `samples` samples, stacked in chunks; peak resident memory of this process, MiB."""
    shape = (samples, 16, 16, 3)
    students = _students(_RESNET, shape[1:])
    states = [{name: value.clone() for name, value in student.state_dict().items()} for student in students]
    stacked = StackedSnapshots(students[0], states, Chunk(samples=_CHUNK, together=samples))
    for answer in stacked.answers(_samples(shape)):
        del answer
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
