"""Distillation: its loss, its snapshots bit for bit however often it is stopped, and that something is learned."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from latentprint.attack_engine.evidence.needs import Distillation
from latentprint.attack_engine.models.distil import DistillationSet, distil, distillation_loss
from latentprint.attack_engine.models.snapshots import SnapshotStore
from latentprint.attack_engine.models.stored_answers import StoredAnswers
from latentprint.attack_engine.models.student import Student, StudentSpec
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import DataError, UsageError

VECTOR, IMAGE, CLASSES = (24,), (8, 8, 3), 5
MLP = StudentSpec("mlp", {"in_features": 24, "hidden": 32})
CNN = StudentSpec("resnet18_cifar_narrow", {"width": 4})
DROPPING = StudentSpec(
    "vit_tiny_patch16_224",
    {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2, "proj_drop_rate": 0.3},
)
FEW = Distillation(epochs=4, batch_size=16, learning_rate=0.05)


def a_student(spec: StudentSpec = MLP, seed: int = 1, width: int = CLASSES, output: str = "posterior") -> Student:
    return Student(spec, output, (width,), VECTOR if spec is MLP else IMAGE, seed)


def a_lesson(
    spec: StudentSpec = MLP, count: int = 50, output: str = "posterior", width: int = CLASSES
) -> DistillationSet:
    """What another model of the same kind answers."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(count, *VECTOR)).astype(np.float32)
    if spec is not MLP:
        samples = rng.integers(0, 256, size=(count, *IMAGE), dtype=np.uint8)
    teacher = a_student(spec, 99, width, output).eval()
    with torch.inference_mode():
        answers = teacher(teacher.inputs(torch.from_numpy(samples)))
    if output == "posterior":
        answers = (4 * answers).softmax(dim=1)
    return DistillationSet(samples, answers.numpy())


def taught(
    folder: Path, lesson: DistillationSet, spec: StudentSpec = MLP, options: Distillation = FEW, seed: int = 3
) -> Path:
    distil(a_student(spec), options, lesson, SnapshotStore(folder), key="k", seed=seed)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class Killed(BaseException):
    pass


class FailingStore(SnapshotStore):
    """A store whose process is killed right after a snapshot, before the checkpoint of its epoch."""

    def write(self, epoch, model):
        super().write(epoch, model)
        if epoch == 2:
            raise Killed


def test_the_loss_of_posteriors_is_the_divergence_from_the_teacher() -> None:
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(size=(6, 4)) * 5, rng.dirichlet(np.ones(4), size=6)
    teacher[0] = [1, 0, 0, 0]
    expected = 0.0
    for row, target in zip(logits, teacher, strict=True):
        total = sum(math.exp(x) for x in row)
        for x, p in zip(row, target, strict=True):
            q = max(p, 1e-30)
            expected += q * (math.log(q) - math.log(math.exp(x) / total)) / 6
    loss = distillation_loss(torch.tensor(logits), torch.tensor(teacher, dtype=torch.float32), "posterior")
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    same = torch.tensor(teacher[1:], dtype=torch.float32)
    assert float(distillation_loss(same.log(), same, "posterior")) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 3)])
def test_the_loss_of_other_answers_is_the_squared_error_over_the_mean_square(shape: tuple[int, ...]) -> None:
    student, teacher = np.random.default_rng(1).normal(size=(2, *shape))
    expected = sum((s - t) ** 2 for s, t in zip(student.flat, teacher.flat, strict=True))
    expected /= sum(t * t for t in teacher.flat)
    loss = distillation_loss(torch.tensor(student), torch.tensor(teacher), "embedding")
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(distillation_loss(torch.ones(2, 3), torch.zeros(2, 3), "embedding")) > 1e20


@pytest.mark.parametrize("spec", [MLP, CNN, DROPPING], ids=["mlp", "cnn", "dropout"])
def test_a_distillation_that_was_killed_gives_the_same_snapshots(spec: StudentSpec, tmp_path: Path) -> None:
    lesson = a_lesson(spec, 20)
    torch.manual_seed(11)
    whole = contents(taught(tmp_path / "whole", lesson, spec))
    assert list(whole) == ["losses.json", *(f"snapshot-{epoch:03d}.safetensors" for epoch in range(4))]
    torch.manual_seed(12)
    torch.rand(5)
    with pytest.raises(Killed):
        distil(a_student(spec), FEW, lesson, FailingStore(tmp_path / "cut"), key="k", seed=3)
    cut = contents(tmp_path / "cut")
    assert "checkpoint.safetensors" in cut
    assert "losses.json" not in cut
    assert len(cut) == 4
    assert contents(taught(tmp_path / "cut", lesson, spec)) == whole


def test_a_finished_distillation_is_left_as_it_is(tmp_path: Path) -> None:
    folder = taught(tmp_path, a_lesson())
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    taught(tmp_path, a_lesson(), seed=4)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_seed_decides_and_the_global_generators_are_left_alone(tmp_path: Path) -> None:
    lesson = a_lesson(DROPPING, 20)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = contents(taught(tmp_path / "one", lesson, DROPPING))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert contents(taught(tmp_path / "again", lesson, DROPPING)) == one
    other = contents(taught(tmp_path / "other", lesson, DROPPING, seed=4))
    assert all(other[name] != one[name] for name in one)


def test_a_checkpoint_of_another_distillation_is_refused(tmp_path: Path) -> None:
    store, lesson = FailingStore(tmp_path), a_lesson()
    with pytest.raises(Killed):
        distil(a_student(), FEW, lesson, store, key="k", seed=3)
    with pytest.raises(DataError, match="belongs to another training"):
        distil(a_student(), FEW, lesson, SnapshotStore(tmp_path), key="other", seed=3)


def test_snapshots_are_half_the_size_and_answer_nearly_as_the_weights_do(tmp_path: Path) -> None:
    lesson = a_lesson(CNN, 20)
    student = a_student(CNN)
    store = SnapshotStore(tmp_path)
    distil(student, FEW, lesson, store, key="k", seed=3)
    inputs = student.inputs(torch.from_numpy(lesson.samples))
    with torch.inference_mode():
        exact = student.eval()(inputs)
        state = store.read(3)
        student.load_state_dict(state)
        kept = student(inputs)
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    change = (kept - exact).norm(dim=1) / exact.norm(dim=1)
    assert 0 < float(change.median()) < 2e-3
    assert float(change.max()) < 1e-2
    parameters = sum(parameter.numel() for parameter in student.parameters())
    assert (tmp_path / "snapshot-003.safetensors").stat().st_size < 2.5 * parameters + 30_000


def test_a_damaged_or_missing_snapshot_says_so(tmp_path: Path) -> None:
    store = SnapshotStore(taught(tmp_path, a_lesson()))
    path = tmp_path / "snapshot-001.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    for epoch in (1, 9):
        with pytest.raises(DataError, match=f"snapshot-00{epoch}.safetensors is missing or damaged"):
            store.read(epoch)


@pytest.mark.parametrize("spec", [MLP, CNN], ids=["mlp", "cnn"])
def test_a_student_comes_to_answer_as_its_teacher(spec: StudentSpec, tmp_path: Path) -> None:
    lesson = a_lesson(spec, 100)
    student = a_student(spec)
    inputs, answers = student.inputs(torch.from_numpy(lesson.samples)), torch.from_numpy(lesson.answers)
    with torch.inference_mode():
        untaught = float(distillation_loss(student.eval()(inputs), answers, "posterior"))
    store = SnapshotStore(tmp_path)
    distil(student, replace(FEW, epochs=15), lesson, store, key="k", seed=0)
    with torch.inference_mode():
        afterwards = float(distillation_loss(student.eval()(inputs), answers, "posterior"))
    assert afterwards < untaught / 3
    assert store.losses is not None
    assert len(store.losses) == 15
    assert store.losses[-1] < store.losses[0] / 2


@pytest.mark.parametrize("width", [32, 7])
def test_an_embedding_of_any_width_is_learned(width: int, tmp_path: Path) -> None:
    spec, options = MLP, Distillation("embedding", 15, optimiser="adamw", learning_rate=1e-2, batch_size=16)
    lesson = a_lesson(spec, 100, "embedding", width)
    student = a_student(spec, 1, width, "embedding")
    assert student(student.inputs(torch.from_numpy(lesson.samples))).shape == (100, width)
    store = SnapshotStore(tmp_path)
    distil(student, options, lesson, store, key="k", seed=0)
    assert store.losses is not None
    assert store.losses[-1] < store.losses[0] / 3
    assert ("head.weight" in store.read(0)) == (width == 7)


def test_a_feature_map_is_learned_token_by_token(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 256, size=(40, *IMAGE), dtype=np.uint8)
    student = Student(CNN, "feature_map", (1, 9), IMAGE, 0)
    tokens = student(student.inputs(torch.from_numpy(samples))).shape[1]
    answer = np.random.default_rng(1).normal(size=(1, tokens, 9)).astype(np.float32)
    store = SnapshotStore(tmp_path)
    options = Distillation("feature_map", 6, optimiser="adamw", learning_rate=1e-2)
    distil(student, options, DistillationSet(samples, answer.repeat(40, axis=0)), store, key="", seed=0)
    assert store.losses is not None
    assert store.losses[-1] < store.losses[0]


def test_a_loss_that_is_not_finite_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not finite in epoch .* set a lower learning_rate"):
        distil(a_student(), replace(FEW, learning_rate=1e30), a_lesson(), SnapshotStore(tmp_path), key="k", seed=0)


def test_the_rate_falls_by_a_tenth_every_five_epochs() -> None:
    rates = [Distillation().rate(epoch) for epoch in (0, 4, 5, 49)]
    assert rates == pytest.approx([0.1, 0.1, 0.09, 0.1 * 0.9**9])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"epochs": 0}, "epochs"), ({"batch_size": 1}, "batch_size"), ({"learning_rate": 0.0}, "learning_rate")],
)
def test_options_that_teach_nothing_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Distillation(**options)
    with pytest.raises(UsageError, match="size must be at least 2"):
        Distillation(size=1)


def test_some_samples_are_spread_over_all() -> None:
    asked = StoredAnswers(DatasetSpec("digits"), np.arange(100, 200), Path("nowhere"), (10,))
    assert asked.some(4).ids.tolist() == [100, 125, 150, 175]
    assert asked.some(99).ids.size == np.unique(asked.some(99).ids).size == 99
    assert asked.some(None) is asked.some(100) is asked.some(500) is asked


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match="'resnet99' of the student is not known"):
        Student(StudentSpec("resnet99"), "posterior", (3,), IMAGE, 0)


def test_a_student_prepares_samples_where_it_is() -> None:
    student = a_student(CNN).to("meta")
    assert student.inputs(torch.zeros(2, *IMAGE, dtype=torch.uint8, device="meta")).device.type == "meta"
    assert student.encoder().mean.device.type == "meta"
