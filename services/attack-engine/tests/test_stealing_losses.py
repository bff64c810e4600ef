"""The losses of stealing: each against its definition written out, and that following its gradient steals."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES, TEMPERATURE

NAMES = STEALING_LOSSES.names()
COUNT, WIDTH = 6, 4
CLASSES = [0, 0, 1, 1, 2, 2]


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(COUNT, WIDTH)) * 2, rng.normal(size=(COUNT, WIDTH)) + 1


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def expected_mse(student: np.ndarray, victim: np.ndarray) -> float:
    return float(np.mean((student - victim) ** 2) / np.mean(victim**2))


def expected_infonce(student: np.ndarray, victim: np.ndarray) -> float:
    s, v, total = unit(student), unit(victim), 0.0
    for i in range(COUNT):
        terms = [math.exp(s[i] @ v[j] / TEMPERATURE) for j in range(COUNT)]
        total -= math.log(terms[i] / sum(terms))
    return total / COUNT


def expected_softnn(student: np.ndarray, victim: np.ndarray) -> float:
    scale = np.mean([[np.sum((a - b) ** 2) for a in victim] for b in victim])
    points, total = [*student, *victim], 0.0
    for i, point in enumerate(points):
        near = [math.exp(-np.sum((point - other) ** 2) / scale / TEMPERATURE) for other in points]
        same = sum(w for j, w in enumerate(near) if j != i and j % COUNT == i % COUNT)
        total -= math.log(same / sum(w for j, w in enumerate(near) if j != i))
    return total / len(points)


def expected_supcon(student: np.ndarray, victim: np.ndarray) -> float:
    points, labels, total = [*unit(student), *unit(victim)], CLASSES * 2, 0.0
    for i, point in enumerate(points):
        others = [j for j in range(len(points)) if j != i]
        whole = sum(math.exp(point @ points[j] / TEMPERATURE) for j in others)
        positives = [j for j in others if labels[j] == labels[i]]
        total -= sum(math.log(math.exp(point @ points[p] / TEMPERATURE) / whole) for p in positives) / len(positives)
    return total / len(points)


def expected_barlow(student: np.ndarray, victim: np.ndarray) -> float:
    total = 0.0
    for i in range(WIDTH):
        for j in range(WIDTH):
            c = np.corrcoef(student[:, i], victim[:, j])[0, 1]
            total += (1 - c) ** 2 if i == j else 0.005 * c**2
    return total


def expected_wasserstein(student: np.ndarray, victim: np.ndarray) -> float:
    scale, places = victim.std(ddof=1), np.arange(WIDTH)
    weights = [[np.exp(row / scale) for row in rows] for rows in (student, victim)]
    return float(np.mean([wasserstein_distance(places, places, s, v) for s, v in zip(*weights, strict=True)]))


EXPECTED = {
    "mse": expected_mse,
    "infonce": expected_infonce,
    "softnn": expected_softnn,
    "supcon": expected_supcon,
    "barlow": expected_barlow,
    "wasserstein": expected_wasserstein,
}


def loss(name: str, student: object, victim: object) -> torch.Tensor:
    tensors = (torch.as_tensor(rows, dtype=torch.float64) for rows in (student, victim))
    return STEALING_LOSSES.get(name).function(*tensors, torch.tensor(CLASSES))


def test_every_loss_is_checked_here() -> None:
    assert set(EXPECTED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_is_its_definition(name: str, seed: int) -> None:
    assert float(loss(name, *drawn(seed))) == pytest.approx(EXPECTED[name](*drawn(seed)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_value_and_reach_every_image(name: str) -> None:
    student, victim = drawn(2)
    points = torch.tensor(student, requires_grad=True)
    assert torch.autograd.gradcheck(lambda rows: loss(name, rows, victim), (points,))
    (gradient,) = torch.autograd.grad(loss(name, points, victim), points)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_following_the_gradient_brings_the_student_nearer_to_the_victim(name: str) -> None:
    student, victim = drawn(3)
    points = torch.tensor(student, requires_grad=True)
    optimiser = torch.optim.Adam([points], lr=0.05)
    before = float(loss(name, student, victim))
    for _ in range(200):
        optimiser.zero_grad()
        loss(name, points, victim).backward()
        optimiser.step()
    assert float(loss(name, points.detach(), victim)) < before / 1.5
    if name != "supcon":  # which asks no more than that classes fall together
        centred = [unit(rows - rows.mean(axis=0)) for rows in (points.detach().numpy(), victim)]
        assert np.sum(centred[0] * centred[1], axis=1).mean() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_an_embedding_that_is_constant_or_equal_gives_numbers(name: str) -> None:
    _, victim = drawn()
    for student in (victim, np.zeros_like(victim), np.ones_like(victim)):
        points = torch.tensor(student, requires_grad=True)
        value = loss(name, points, victim)
        (gradient,) = torch.autograd.grad(value, points)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()
