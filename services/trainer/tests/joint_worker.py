"""One worker of several, as a process: `python joint_worker.py RANK SIZE FOLDER`; FOLDER/tasks.json says what of.

Rank 0 writes FOLDER/results.pt, a mapping from task to what came out.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import Generator, nn
from torch.optim import SGD

from latentprint.trainer import DefenceSpec, make_plan
from latentprint.trainer.batch_norm import join_batch_norms
from latentprint.trainer.exchange import Exchange, never
from latentprint.trainer.members import TrainingSamples
from latentprint.trainer.private_update import PrivateUpdate
from latentprint.trainer.recipes import RECIPES
from latentprint.trainer.streams import seeded_initialisation
from latentprint.trainer.workers import ALONE, Workers

SIDE, CLASSES = 32, 3


def drawn_images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


def recipe_step(name: str, options: dict, count: int, workers: Workers) -> dict[str, torch.Tensor]:
    """Loss, gradients and buffers after one backward pass on `count` images."""
    with seeded_initialisation(3):
        method = RECIPES.get(name)(**options).build(SIDE, CLASSES)
    method.workers = workers
    if workers.size > 1:
        join_batch_norms(method, workers)
    method.train()
    method.validation = TrainingSamples(drawn_images(7).flip(1), torch.arange(7) % CLASSES)
    labels = torch.arange(count) % CLASSES
    loss = method.loss(drawn_images(count), labels, Generator().manual_seed(11), 0.25)
    torch.autograd.backward(loss)
    gradients = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    workers.sum(gradients.values())
    buffers = {name: value.clone() for name, value in method.named_buffers()}
    return {"loss": loss.detach()} | {f"gradient/{k}": v for k, v in gradients.items()} | buffers


def private_step(name: str, options: dict, count: int, workers: Workers) -> dict[str, torch.Tensor]:
    """Loss and state after one step of DP-SGD on `count` images, with plain gradient descent."""
    plan = make_plan(name, options, 1, [DefenceSpec("dp-sgd", {"noise_multiplier": 1.0})])
    with seeded_initialisation(3):
        method = plan.options.build(SIDE, CLASSES)
    method.workers = workers
    method.train()
    trained = [p for group in method.optimiser().param_groups for p in group["params"]]
    method.optimiser = lambda: SGD(trained, lr=0.1)  # Adam would turn rounding of a gradient near 0 into a whole step
    update = PrivateUpdate(method, Exchange(workers, never), None, plan.privacy.budget(20, 4, 2), 2)
    labels = torch.arange(count) % CLASSES
    loss = update(drawn_images(count), labels, Generator().manual_seed(11), 0.25)
    return {"loss": loss} | {name: value.clone() for name, value in method.state_dict().items()}


def norm_step(kind: str, count: int, workers: Workers) -> dict[str, torch.Tensor]:
    """A batch norm between two layers: values, gradients and statistics over two batches, the second without grad."""
    generator = Generator().manual_seed(5)
    shape = {"1d": (4,), "1d-long": (4, 3)}.get(kind, (4, 3, 2))
    features = 3 + 2 * torch.randn(count, *shape, generator=generator)
    weights = torch.randn(count, *shape, generator=generator)
    make = BatchNormAct2d if kind == "activated" else nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    momentum = None if kind == "cumulative" else 0.1
    block = nn.Sequential(make(4, affine=kind != "plain", momentum=momentum))
    if kind != "plain":
        nn.init.uniform_(block[0].weight, generator=generator)
        nn.init.uniform_(block[0].bias, generator=generator)
    if workers.size > 1:
        join_batch_norms(block, workers)
    own = workers.mine(features).clone().requires_grad_()
    normed = block(own)
    torch.autograd.backward((normed.square() * workers.mine(weights)).sum())
    with torch.no_grad():
        again = block(workers.mine(features) ** 2)
    gradients = [p.grad for p in block.parameters()]
    workers.sum(gradients)
    block.eval()
    rows = {"normed": normed.detach(), "slope": own.grad, "again": again, "eval": block(own).detach()}
    joint = {name: workers.joint(value, count) for name, value in rows.items()}
    return joint | dict(zip(("weight", "bias"), gradients, strict=False)) | dict(block.named_buffers())


def answer(task: dict, workers: Workers) -> dict[str, torch.Tensor]:
    if task["what"] == "norm":
        return norm_step(task["kind"], task["count"], workers)
    step = private_step if task["what"] == "private" else recipe_step
    return step(task["recipe"], task["options"], task["count"], workers)


def main(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    tasks = json.loads((folder / "tasks.json").read_text())
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    results = {key: answer(task, Workers(rank, size)) for key, task in tasks.items()}
    if rank == 0:
        alone = {key: answer(task, ALONE) for key, task in tasks.items()}
        torch.save({"joint": results, "alone": alone}, folder / "results.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
