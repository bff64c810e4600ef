"""Snapshots evaluated together against one after another, and the sequences that are made of their answers."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from latentprint.attack_engine.evidence.disagreement import Disagreement, pool
from latentprint.attack_engine.evidence.energies import (
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)
from latentprint.attack_engine.evidence.posterior_metrics import posterior_metrics
from latentprint.attack_engine.models.metric_sequences import (
    answers_in_chunks,
    disagreement_sequence,
    posterior_sequence,
)
from latentprint.attack_engine.models.snapshots import State
from latentprint.attack_engine.models.stacked_snapshots import Chunk, StackedSnapshots
from latentprint.attack_engine.models.student import Student, StudentSpec
from latentprint.core.datasets import DatasetSpec

IMAGE = (16, 16, 3)
VIT = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "dynamic_img_size": True}
STUDENTS = {
    "resnet18_cifar_narrow": (StudentSpec("resnet18_cifar_narrow", {"width": 4}), IMAGE),
    "group norm": (StudentSpec("resnet18_cifar_narrow", {"width": 8, "norm_groups": 8}), IMAGE),
    "vgg16_cifar": (StudentSpec("vgg16_cifar", {"width": 4}), (32, 32, 3)),
    "resnet56_cifar": (StudentSpec("resnet56_cifar", {"width": 4}), (8, 8, 3)),
    "wrn32_4_cifar": (StudentSpec("wrn32_4_cifar", {"width": 4}), (8, 8, 3)),
    "mobilenetv2_cifar": (StudentSpec("mobilenetv2_cifar", {"width": 4}), (8, 8, 3)),
    "mlp": (StudentSpec("mlp", {"in_features": 20, "hidden": [16, 12]}), (20,)),
    "vit": (StudentSpec("vit_tiny_patch16_224", VIT), IMAGE),
}
TOGETHER, IN_TURN = Chunk(together=100), Chunk(together=0)
BASKETS = DatasetSpec("baskets", {"count": 60, "features": 20, "classes": 4})
DIGITS = DatasetSpec("digits")


def snapshots_of(spec: StudentSpec, shape: tuple[int, ...], output: str, count: int = 3) -> tuple[Student, list[State]]:
    """A student and states whose batch norms have met samples, so that train and eval mode differ."""
    states = []
    for seed in range(count):
        student = Student(spec, output, (7,), shape, seed)
        for module in student.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        states.append({name: value.clone() for name, value in student.state_dict().items()})
    return student, states


def samples_of(shape: tuple[int, ...], count: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    if len(shape) == 1:
        return torch.rand(count, *shape, generator=generator)
    return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)


@torch.inference_mode()
def separately(student: Student, states: list[State], samples: torch.Tensor) -> torch.Tensor:
    """One plain model after another, one sample after another."""
    student.eval()
    answers = []
    for state in states:
        student.load_state_dict(state)
        answers.append(torch.cat([student(student.inputs(sample[None])) for sample in samples]))
    return torch.stack(answers)


def all_of(snapshots: StackedSnapshots, samples: torch.Tensor) -> torch.Tensor:
    return torch.cat(list(snapshots.answers(samples)), dim=1)


CASES = [
    (name, output)
    for name in STUDENTS
    for output in ("posterior", "embedding", "feature_map")
    if output == "posterior" or (name in ("resnet18_cifar_narrow", "vit") or (name, output) == ("mlp", "embedding"))
]


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(("name", "output"), CASES)
def test_stacked_snapshots_answer_as_each_alone_does_to_each_sample_alone(name: str, output: str) -> None:
    spec, shape = STUDENTS[name]
    student, states = snapshots_of(spec, shape, output)
    samples = samples_of(shape)
    expected = separately(student, states, samples)
    assert (expected[0] - expected[1]).abs().max() > 1e-4
    student.train()
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * float(expected.abs().max())}
    for chunk in (TOGETHER, Chunk(samples=2, snapshots=2, together=100), IN_TURN, Chunk(samples=3, together=0)):
        torch.testing.assert_close(all_of(StackedSnapshots(student, states, chunk), samples), expected, **tolerance)


@pytest.mark.parametrize("chunk", [TOGETHER, IN_TURN])
def test_an_answer_never_depends_on_its_neighbours(chunk: Chunk) -> None:
    spec, shape = STUDENTS["resnet18_cifar_narrow"]
    student, states = snapshots_of(spec, shape, "posterior")
    stacked, samples = StackedSnapshots(student, states, chunk), samples_of(shape, 8)
    whole = all_of(stacked, samples)
    order = torch.tensor([5, 2, 7])
    torch.testing.assert_close(all_of(stacked, samples[order]), whole[:, order], rtol=0, atol=1e-5)
    with torch.inference_mode():
        student.train()
        student(student.inputs(samples))
    torch.testing.assert_close(all_of(stacked, samples), whole, rtol=0, atol=0)


@pytest.mark.parametrize("together", [0, 100])
def test_no_pass_holds_more_than_its_chunk(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, shape = STUDENTS["mlp"]
    student, states = snapshots_of(spec, shape, "posterior", 5)
    held: list[tuple[int, ...]] = []
    real = torch.nn.functional.linear

    def watching(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        stacked = torch._C._functorch.get_unwrapped(weight) if together else weight[None]
        held.append((len(inputs), len(stacked)))
        return real(inputs, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", watching)
    answers = list(StackedSnapshots(student, states, Chunk(3, 2, together)).answers(samples_of(shape, 8)))
    assert [answer.shape for answer in answers] == [(5, 3, 7), (5, 3, 7), (5, 2, 7)]
    assert {samples for samples, _ in held} == {3, 2}
    assert {models for _, models in held} == ({1, 2} if together else {1})


def test_answers_come_in_the_order_of_the_ids_however_many_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentprint.attack_engine.models.metric_sequences._READ", 7)
    spec, shape = STUDENTS["mlp"]
    student, states = snapshots_of(spec, shape, "posterior")
    stacked, dataset = StackedSnapshots(student, states, Chunk(samples=3)), BASKETS.open()
    ids = np.random.default_rng(0).permutation(60)[:20]
    parts = list(answers_in_chunks(stacked, dataset, ids))
    assert [(rows.start, rows.stop) for rows, _ in parts][:4] == [(0, 3), (3, 6), (6, 7), (7, 10)]
    expected = separately(student, states, torch.from_numpy(dataset.images(ids)))
    torch.testing.assert_close(torch.cat([answer for _, answer in parts], dim=1), expected, rtol=1e-5, atol=1e-6)


def test_a_posterior_sequence_ends_with_the_model_itself() -> None:
    spec, shape = STUDENTS["mlp"]
    student, states = snapshots_of(spec, shape, "posterior")
    dataset, ids = BASKETS.open(), np.array([5, 3, 40, 8])
    own = np.random.default_rng(0).dirichlet(np.ones(7), size=4).astype(np.float32)
    sequence = posterior_sequence(StackedSnapshots(student, states), dataset, ids, own)
    assert sequence.shape == (4, 4, 5)
    assert sequence.dtype == np.float32
    logits = separately(student, states, torch.from_numpy(dataset.images(ids))).double()
    for s, sample in enumerate(ids):
        label = dataset.labels["class"][sample : sample + 1]
        for t in range(3):
            expected = posterior_metrics(logits[t, s].softmax(dim=0).numpy()[None], label)[0]
            np.testing.assert_allclose(sequence[s, t], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(sequence[s, 3], posterior_metrics(own[s : s + 1], label)[0], rtol=1e-6)


def test_disagreement_over_embeddings_equals_loops() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 4)), rng.normal(size=(6, 4)).astype(np.float32)
    teacher_bank, student_bank = rng.normal(size=(15, 4)), rng.normal(size=(2, 15, 4))
    measure = Disagreement(teacher_bank, student_bank, maps=False)
    assert measure.metrics == ("cosine", "l2", "norm", "overlap")
    found = measure(student, teacher)
    for t in range(2):
        for s in range(6):
            a, b = student[t, s].tolist(), teacher[s].tolist()
            expected = [
                cosine(a, b),
                math.dist(a, b) / math.hypot(*b),
                math.log(math.hypot(*a) / math.hypot(*b)),
                len(neighbours(a, student_bank[t], 10) & neighbours(b, teacher_bank, 10)) / 10,
            ]
            np.testing.assert_allclose(found[t, s], expected, rtol=1e-6, atol=1e-7)


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def neighbours(vector: list[float], bank: np.ndarray, count: int) -> set[int]:
    return set(sorted(range(len(bank)), key=lambda row: -cosine(vector, bank[row].tolist()))[:count])


def test_disagreement_over_feature_maps_equals_loops() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 5, 4, 3)), rng.normal(size=(5, 4, 3)).astype(np.float32)
    teacher_bank, student_bank = rng.normal(size=(8, 3)), rng.normal(size=(2, 8, 3))
    measure = Disagreement(teacher_bank, student_bank, maps=True)
    found = measure(student, teacher)
    assert found.shape == (2, 5, len(measure.metrics)) == (2, 5, 6)
    references = gaussian_references(1, 4, np.random.default_rng(0))
    for t in range(2):
        for s in range(5):
            a, b = student[t, s], teacher[s].astype(float)
            own = b.mean(axis=0)
            response = log_responses(own[None, None], a[None], cosine=True)
            expected = [
                sum(cosine(x.tolist(), y.tolist()) for x, y in zip(a, b, strict=True)) / 4,
                sum(math.dist(x, y) / math.hypot(*y) for x, y in zip(a, b, strict=True)) / 4,
                math.log(math.hypot(*a.mean(axis=0)) / math.hypot(*own)),
                1.0,  # a bank of eight has fewer than ten neighbours: all are common
                uniform_energy(response)[0, 0],
                gaussian_energy(response, references)[0, 0],
            ]
            np.testing.assert_allclose(found[t, s], expected, rtol=1e-6, atol=1e-7)


def test_a_student_that_is_its_teacher_does_not_disagree() -> None:
    answers = np.random.default_rng(2).normal(size=(30, 5)).astype(np.float32)
    same = answers.astype(np.float64)
    found = Disagreement(same, same[None], maps=False)(same[None, :6], answers[:6])
    np.testing.assert_allclose(found, np.broadcast_to([1, 0, 0, 1], (1, 6, 4)), atol=1e-12)
    silent = Disagreement(same, same[None], maps=False)(np.zeros((1, 6, 5)), np.zeros((6, 5), dtype=np.float32))
    assert np.isfinite(silent).all()


def test_a_disagreement_sequence_is_sample_by_sample() -> None:
    spec = StudentSpec("resnet18_cifar_narrow", {"width": 4})
    dataset, ids = DIGITS.open(), np.array([7, 2, 30])
    student, states = snapshots_of(spec, dataset.sample_shape, "feature_map")
    stacked = StackedSnapshots(student, states)
    maps = separately(student, states, torch.from_numpy(dataset.images(ids))).double().numpy()
    answers = np.random.default_rng(3).normal(size=maps.shape[1:]).astype(np.float32)
    bank = pool(maps, maps=True)
    measure = Disagreement(bank[0], bank, maps=True)
    sequence = disagreement_sequence(stacked, dataset, ids, answers, measure)
    assert sequence.shape == (3, 3, 6)
    assert sequence.dtype == np.float32
    for s in range(3):
        np.testing.assert_allclose(sequence[s], measure(maps[:, [s]], answers[[s]])[:, 0], rtol=1e-4, atol=1e-5)
