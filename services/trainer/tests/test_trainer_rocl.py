"""RoCL's attacked views: within their radius, and worse for the encoder than random ones; its loss against a loop."""

import math
from copy import deepcopy

import pytest
import torch
from torch import Generator
from torch.nn.functional import interpolate, normalize

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.base import backbone_input
from latentprint.trainer.recipes.rocl import AdversarialContrast

IMAGES = 5


def method_of(**options):
    torch.manual_seed(3)
    return AdversarialContrast(queue=7, projection_dim=6, temperature=0.5, **options).build(32, 0)


@pytest.fixture
def images():
    """Smooth ones: in noise, an untrained encoder's gradient says nothing a few grey levels away."""
    coarse = 255 * torch.rand(IMAGES, 3, 4, 4, generator=Generator().manual_seed(7))
    return interpolate(coarse, 32, mode="bilinear").permute(0, 2, 3, 1).to(torch.uint8)


def prepared_of(method, images, seed=1):
    return method.prepare(images, torch.zeros(IMAGES), Generator().manual_seed(seed), 0.0)


def pixels_of(view):
    """Grey levels [B, H, W, 3] of backbone inputs."""
    black, white = (backbone_input(torch.full((1, 1, 1, 3), level)) for level in (0.0, 255.0))
    return (255 * (view - black) / (white - black)).permute(0, 2, 3, 1)


@pytest.mark.parametrize(("radius", "steps"), [(8.0, 1), (8.0, 4), (40.0, 3)])
def test_attacked_views_stay_within_the_radius_and_are_images(radius, steps, images):
    drawn, attacked = map(
        pixels_of, prepared_of(method_of(radius=radius, attack_steps=steps), images)["view"].unbind(1)
    )
    assert attacked.min() > -1e-3
    assert attacked.max() < 255 + 1e-3
    change = (attacked - drawn).abs()
    assert change.max() < radius + 1e-2
    assert change.mean() > radius / 3


def test_the_ascent_against_a_loop_over_images_and_steps(images):
    """Each image by itself, its gradient by autograd on pixels in [0, 255]."""
    method = method_of(radius=10.0, attack_steps=3, attack_step_size=0.4)
    remembered = method.queue.keys.clone()
    prepared = prepared_of(method, images)
    generator = Generator().manual_seed(1)
    drawn = pixels_of(method.view(images, method.augmentation, generator, 32))
    method.view(images, method.augmentation, generator, 32)
    start = 20 * torch.rand(IMAGES, 3, 32, 32, generator=generator).permute(0, 2, 3, 1) - 10
    method.eval()
    for i in range(IMAGES):
        moved = (drawn[i] + start[i]).clamp(0, 255)
        for _ in range(3):
            moved.requires_grad_()
            query = normalize(method.head(method.backbone(backbone_input(moved[None]))), dim=1)[0]
            logits = torch.stack([query @ prepared["keys"][i], *(query @ key for key in remembered)]) / 0.5
            (slope,) = torch.autograd.grad(logits.logsumexp(dim=0) - logits[0], moved)
            moved = moved.detach() + 4.0 * slope.sign()
            moved = torch.maximum(torch.minimum(moved, drawn[i] + 10), drawn[i] - 10).clamp(0, 255)
        same = (pixels_of(prepared["view"][:, 1])[i] - moved).abs() < 1e-2
        assert same.float().mean() > 0.999, "gradients at zero up to rounding may differ in sign"


def test_an_attack_misses_more_than_noise_of_the_same_size(images):
    method = method_of(attack_steps=4)
    prepared = prepared_of(method, images)
    drawn, attacked = prepared["view"].unbind(1)
    black, white = (backbone_input(torch.full((1, 1, 1, 3), level)) for level in (0.0, 255.0))
    signs = 2.0 * torch.randint(0, 2, drawn.shape, generator=Generator().manual_seed(2)) - 1
    noisy = (drawn + 8 / 255 * (white - black) * signs).maximum(black).minimum(white)
    method.eval()

    def losses(view):
        return super(type(method), method).forward(view, prepared["keys"], prepared["remembered"]).detach()

    usual = losses(drawn)
    assert (losses(attacked) - usual > 2 * (losses(noisy) - usual).abs()).all()


def test_the_attack_leaves_no_trace_in_the_method(images):
    method = method_of()
    before = deepcopy(method.backbone.state_dict())
    prepared = prepared_of(method, images)
    assert all((value == before[name]).all() for name, value in method.backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in method.parameters())
    assert not prepared["view"].requires_grad
    assert all(module.training for module in method.modules())


def test_the_loss_is_mocos_and_the_attacked_views_by_its_weight(images):
    method = method_of(adversarial_weight=0.5)
    remembered = method.queue.keys.clone()
    state = deepcopy(method.state_dict())
    loss = method.loss(images, torch.zeros(IMAGES), Generator().manual_seed(1), 0.0)
    method.load_state_dict(state)
    prepared = prepared_of(method, images)
    expected = 0.0
    for view, weight in zip(prepared["view"].unbind(1), (1.0, 0.5), strict=True):
        queries = normalize(method.head(method.backbone(view)), dim=1).detach()
        for query, key in zip(queries, prepared["keys"], strict=True):
            weights = [math.exp(float(query @ reference) / 0.5) for reference in (key, *remembered)]
            expected -= weight * math.log(weights[0] / sum(weights)) / IMAGES
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "options", [{"radius": 0.0}, {"attack_steps": 0}, {"attack_step_size": 0.0}, {"adversarial_weight": -1.0}]
)
def test_options_that_do_not_fit_say_what_to_change(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        AdversarialContrast(**options).build(32, 0)
