"""Two workers on a joint batch give what one worker gives: every recipe, and batch norm by itself."""

import pytest
import torch
from torch import nn

from latentprint.trainer.batch_norm import JointBatchNorm, join_batch_norms
from latentprint.trainer.recipes import RECIPES
from latentprint.trainer.workers import Workers

pytestmark = pytest.mark.slow

RECIPE_COUNTS = (6, 9)  # of seven images, one of swav's ReLUs is at zero up to rounding
NORMS = ("1d", "1d-long", "2d", "plain", "cumulative", "activated")
NORM_COUNTS = (2, 5)


@pytest.fixture(scope="module")
def results(two_workers, tiny_options):
    """What two processes over gloo, and one alone, made of every task."""
    tasks = {
        f"{name}-{count}": {"what": "recipe", "recipe": name, "options": tiny_options(name), "count": count}
        for name in RECIPES.names()
        for count in RECIPE_COUNTS
    }
    tasks |= {
        f"{kind}-{count}": {"what": "norm", "kind": kind, "count": count} for kind in NORMS for count in NORM_COUNTS
    }
    return two_workers(tasks)


@pytest.mark.parametrize("count", RECIPE_COUNTS)
@pytest.mark.parametrize("name", RECIPES.names())
def test_the_sum_of_two_workers_gradients_is_the_joint_batchs(name, count, results):
    joint, alone = (results[who][f"{name}-{count}"] for who in ("joint", "alone"))
    assert joint.keys() == alone.keys()
    torch.testing.assert_close(joint["loss"], alone["loss"], rtol=1e-5, atol=1e-6)
    gradients = [key for key in alone if key.startswith("gradient/")]
    length = torch.cat([alone[key].flatten() for key in gradients]).norm()
    apart = torch.cat([(joint[key] - alone[key]).flatten() for key in gradients]).norm()
    assert length > 0
    assert apart <= 3e-5 * length
    for key in alone.keys() - set(gradients):
        if alone[key].is_floating_point():
            torch.testing.assert_close(joint[key], alone[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", NORM_COUNTS)
@pytest.mark.parametrize("kind", NORMS)
def test_batch_norm_over_two_workers_is_batch_norm(kind, count, results):
    joint, alone = (results[who][f"{kind}-{count}"] for who in ("joint", "alone"))
    assert joint.keys() == alone.keys()
    for key, expected in alone.items():
        torch.testing.assert_close(joint[key], expected, rtol=1e-5, atol=1e-5)


def test_conversion_shares_parameters_and_keeps_the_state_dict():
    block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.BatchNorm1d(4))
    parameters, state = list(block.parameters()), block.state_dict()
    join_batch_norms(block, Workers(0, 2))
    assert isinstance(block[1][0], JointBatchNorm)
    assert all(a is b for a, b in zip(block.parameters(), parameters, strict=True))
    assert block.state_dict().keys() == state.keys()


def test_a_batch_norm_that_does_more_is_refused():
    class Activated(nn.BatchNorm2d):
        pass

    with pytest.raises(TypeError, match="Activated cannot be shared"):
        join_batch_norms(nn.Sequential(Activated(4)), Workers(0, 2))
