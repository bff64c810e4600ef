"""DP-SGD against slow versions of itself: gradients, clipping, noise, accounting; and what a private training says."""

import os
import signal
from copy import deepcopy

import pytest
import torch
from opacus.accountants import RDPAccountant
from torch import Generator

from latentprint.core.bundles import open_bundle
from latentprint.core.errors import Interrupted, UsageError
from latentprint.trainer import RECIPES, DefenceSpec, make_plan
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.members import poisson_batches
from latentprint.trainer.privacy import Privacy
from latentprint.trainer.private_update import PrivateUpdate, record_gradients

ABLE = ("mae", "moco", "dino", "supervised", "cae", "long-seq-mae", "saim", "rocl")
UNABLE = {
    "simclr": "every view is compared",
    "simsiam": "batch norm",
    "swav": "clusters are made equally large",
    "vicreg": "variances and covariances",
    "mixco": "each image is mixed with another",
    "adv-reg": "the inference network",
    "mixup-mmd": "each sample is mixed with another",
    "talos": "the attribute head has learnt from all",
    "ibot": "a fixed share of the whole batch's views is masked",
}
LARGE = 1e6


@pytest.fixture
def private(tiny_options):
    """A tiny method as DP-SGD trains it."""

    def build(name):
        plan = make_plan(name, tiny_options(name), 1, [DefenceSpec("dp-sgd", {"noise_multiplier": 1.0})])
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return plan.options.build(32, 3).train()

    return build


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


@pytest.fixture
def labels():
    return torch.arange(5) % 3


def trained(method):
    ours = {id(p) for group in method.optimiser().param_groups for p in group["params"]}
    return {name: p for name, p in method.named_parameters() if id(p) in ours}


def update(method, noise=1.0, norm=1.0, members=20, records_at_once=2):
    budget = Privacy(noise_multiplier=noise, max_grad_norm=norm).budget(members, 4, 2)
    return PrivateUpdate(method, Exchange(), None, budget, records_at_once)


def clipped_sums(method, images, labels, norm, records_at_once=2):
    made = update(method, norm=norm, records_at_once=records_at_once)
    made._clip(images, labels, Generator().manual_seed(1), 0.0)
    return torch.cat([p.summed_grad.flatten() for p in trained(method).values()])


@pytest.mark.parametrize("name", ABLE)
def test_each_records_gradient_is_that_of_a_backward_pass_by_itself(name, private, images, labels):
    method = private(name)
    prepared = method.prepare(images, labels, Generator().manual_seed(1), 0.0)
    gradients, losses = record_gradients(method, trained(method), prepared)
    for row in range(len(images)):
        method.zero_grad(set_to_none=True)
        alone = method(**{key: value[row : row + 1] for key, value in prepared.items()})
        torch.autograd.backward(alone)
        torch.testing.assert_close(losses[row], alone[0].detach(), rtol=1e-4, atol=1e-5)
        for key, parameter in trained(method).items():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(gradients[key][row], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ABLE)
def test_unclipped_and_without_chunks_the_sum_is_the_batchs_gradient(name, private, images, labels):
    method = private(name)
    state = deepcopy(method.state_dict())
    sums = clipped_sums(method, images, labels, LARGE)
    method.load_state_dict(state)
    torch.autograd.backward(len(images) * method.loss(images, labels, Generator().manual_seed(1), 0.0))
    whole = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                       for p in trained(method).values()])  # fmt: skip
    assert (sums - whole).norm() < 1e-4 * whole.norm()


@pytest.mark.parametrize("norm", [0.01, 0.5])
def test_no_record_moves_the_clipped_sum_by_more_than_the_norm(norm, private, images, labels):
    method = private("mae")
    prepared = method.prepare(images, labels, Generator().manual_seed(1), 0.0)
    sums = []
    for rows in (range(5), *[[r for r in range(5) if r != left] for left in range(5)]):
        chosen = list(rows)
        kept = {key: value[chosen] for key, value in prepared.items()}
        method.prepare = lambda *_, kept=kept: kept
        sums.append(clipped_sums(method, images[chosen], labels[chosen], norm))
    moved = torch.stack([(sums[0] - other).norm() for other in sums[1:]])
    assert (moved <= norm * (1 + 1e-4)).all()
    assert moved.max() > 0.5 * norm, "the bound is used"


def test_the_noise_has_the_stated_deviation_and_an_empty_batch_is_noise_alone(private, images, labels):
    method = private("mae")
    before = {key: p.detach().clone() for key, p in trained(method).items()}
    made = update(method, noise=3.0, norm=0.5)
    kept = []
    made.optimiser.step = lambda: kept.extend(p.grad.clone() for p in trained(method).values())
    loss = made(images[:0], labels[:0], Generator().manual_seed(1), 0.0)
    noise = torch.cat([grad.flatten() for grad in kept])
    assert float(loss) == 0.0
    assert len(before) == len(kept)
    assert noise.std().item() == pytest.approx(3.0 * 0.5 / 5, rel=0.03)  # of 20 members, a quarter a step
    assert abs(noise.mean().item()) < 4 * 0.3 / len(noise) ** 0.5


def test_the_budget_is_opacus_own():
    budget = Privacy(noise_multiplier=1.1, delta=1e-5).budget(1000, 20, 3)
    accountant = RDPAccountant()
    for _ in range(60):
        accountant.step(noise_multiplier=1.1, sample_rate=1 / 20)
    assert budget.epsilon(60) == accountant.get_epsilon(1e-5)
    assert budget.steps == 60
    assert budget.expected_batch_size == pytest.approx(50)
    assert 0 == budget.epsilon(0) < budget.epsilon(20) < budget.epsilon(60)


def test_a_target_epsilon_is_reached_and_not_passed():
    budget = Privacy(epsilon=4.0, delta=1e-5).budget(1000, 20, 3)
    assert 3.9 < budget.epsilon(budget.steps) <= 4.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "not both"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be above 0"),
        ({"records_at_once": 0}, "records_at_once must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make_plan("mae", {}, 1, [DefenceSpec("dp-sgd", options)])


def test_a_delta_that_protects_nobody_is_refused():
    with pytest.raises(UsageError, match="one of 100 members outright"):
        Privacy(delta=0.01).budget(100, 2, 1)


@pytest.mark.parametrize(("name", "reason"), UNABLE.items())
def test_a_recipe_without_a_loss_of_single_records_is_refused_with_its_own_reason(name, reason):
    with pytest.raises(UsageError, match=rf"{name}.*{reason}.*cae.*dino.*mae.*moco.*supervised"):
        make_plan(name, {}, 1, [DefenceSpec("dp-sgd")])


def test_every_recipe_says_either_what_it_holds_constant_or_how_it_mixes_records():
    for name in RECIPES.names():
        declared = {"held_constant", "mixes_records"} & vars(RECIPES.get(name)).keys()
        assert len(declared) == 1, name
        assert (name in ABLE) == (declared == {"held_constant"})


@pytest.mark.slow
def test_a_step_on_fewer_records_than_workers_is_the_step_of_one_worker(two_workers, tiny_options):
    tasks = {
        f"{name}-{count}": {"what": "private", "recipe": name, "options": tiny_options(name), "count": count}
        for name in ABLE
        for count in (0, 1)
    }
    results = two_workers(tasks)
    for key in tasks:
        joint, alone = results["joint"][key], results["alone"][key]
        assert joint.keys() == alone.keys()
        for name, value in alone.items():
            torch.testing.assert_close(joint[name], value, rtol=1e-4, atol=1e-5, msg=f"{key}: {name}")


def test_poisson_batches_take_each_member_at_the_stated_rate():
    batches = [batch for epoch in range(50) for batch in poisson_batches(100, 10, 3, epoch)]
    assert len(batches) == 500
    sizes = torch.tensor([len(batch) for batch in batches], dtype=torch.float64)
    assert sizes.mean().item() == pytest.approx(10, abs=4 * 3 / 500**0.5)
    assert sizes.var().item() == pytest.approx(9, rel=0.3)
    taken = torch.bincount(torch.cat(batches), minlength=100)
    assert ((taken - 50).abs() < 5 * 45**0.5).all()


@pytest.mark.parametrize("name", ["moco", "dino"])
def test_a_private_bundle_says_so_opens_and_answers_record_by_record(name, train_tiny, digits, split, tmp_path):
    logged: dict[int, dict[str, float]] = {}

    class Log:
        def log_params(self, params):
            logged[0] = dict(params)

        def log_metrics(self, metrics, step=0):
            logged.setdefault(step, {}).update(metrics)

        def log_input(self, what, context):
            pass

    spec = [DefenceSpec("dp-sgd", {"noise_multiplier": 1.0})]
    card = train_tiny(name, epochs=3, defences=spec, tracker=Log())
    assert card.options["norm"] == "group"
    privacy = card.training["privacy"]
    assert (privacy["noise_multiplier"], privacy["steps"], privacy["sample_rate"]) == (1.0, 9, 1 / 3)
    assert "taken as" in privacy["not_counted"]
    assert card.training["epsilon"] == logged[3]["epsilon"] > logged[1]["epsilon"] > 0
    assert logged[0]["privacy"]["max_grad_norm"] == 1.0
    encoder, _ = open_bundle(tmp_path / "victim")
    images = digits.open().images(split.sample_id[:6])
    together = encoder.answer(images, card.outputs)
    for row in range(6):
        alone = encoder.answer(images[row : row + 1], card.outputs)
        assert all(abs(alone[key][0] - together[key][row]).max() < 1e-5 for key in card.outputs)


def test_a_private_training_resumes_bit_for_bit(train_tiny, monkeypatch):
    monkeypatch.setattr("latentprint.trainer.progress.Reporter.due", lambda self: True)
    spec = [DefenceSpec("dp-sgd", {"epsilon": 20.0})]
    undisturbed = train_tiny("mae", "undisturbed", epochs=3, defences=spec)
    reports = []

    def stop_at_the_fifth(progress):
        reports.append(progress)
        if len(reports) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train_tiny("mae", "stopped", epochs=3, defences=spec, on_progress=stop_at_the_fifth)
    monkeypatch.undo()
    resumed = train_tiny("mae", "stopped", epochs=3, defences=spec, resume=True)
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.training["epsilon"] == undisturbed.training["epsilon"] <= 20
