"""Convolutions as products of matrices: the same answers, and only where they pay."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from latentprint.attack_engine.models.stacked_snapshots import StackableConv2d

CASES: list[tuple[dict[str, Any], tuple[int, int], bool]] = [
    ({"kernel_size": 3, "padding": 1}, (2, 2), True),
    ({"kernel_size": 3, "padding": 1}, (3, 2), False),
    ({"kernel_size": 3, "padding": 1, "stride": 2}, (4, 4), True),
    ({"kernel_size": 3, "padding": 1, "stride": 2, "bias": False}, (3, 3), True),
    ({"kernel_size": (3, 1), "padding": (2, 0), "dilation": (2, 1), "stride": (2, 1)}, (7, 1), True),
    ({"kernel_size": 1}, (1, 4), True),
    ({"kernel_size": 3, "padding": "same"}, (2, 2), False),
]


@pytest.mark.parametrize(("arguments", "size", "unfolded"), CASES)
def test_a_product_of_matrices_is_the_convolution(
    arguments: dict[str, Any], size: tuple[int, int], unfolded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 6, **arguments)
    model = copy.deepcopy(plain)
    StackableConv2d.substitute(model)
    samples = torch.randn(3, 5, *size)
    expected = plain(samples)
    calls: list[tuple[int, ...]] = []
    real = torch.nn.functional.unfold

    def watching(inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        calls.append(tuple(inputs.shape))
        return real(inputs, *others)

    monkeypatch.setattr(torch.nn.functional, "unfold", watching)
    torch.testing.assert_close(model(samples), expected, rtol=1e-5, atol=1e-6)
    assert bool(calls) == unfolded


@pytest.mark.parametrize("arguments", [{"groups": 2}, {"padding": 1, "padding_mode": "circular"}])
def test_other_convolutions_are_left_as_they_are(arguments: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, **arguments), nn.Conv1d(4, 4, 1), nn.Linear(4, 4))
    StackableConv2d.substitute(model)
    assert [type(module) for module in model] == [nn.Conv2d, nn.Conv1d, nn.Linear]
