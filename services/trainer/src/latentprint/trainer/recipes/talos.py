"""Talos: SimCLR whose encoder also unlearns an attribute, against a network that reads it from the embeddings."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.inner_adam import InnerAdam
from latentprint.trainer.recipes.simclr import SimpleContrast, SimpleContrastMethod

_HIDDEN = 64  # width of both hidden layers of the attribute head


@dataclass(frozen=True)
class Talos(SimpleContrast):
    """Options of `talos`, beside those of `simclr`.

    Attributes:
        temperature: of the softmax over similarities.
        projection_dim: width of the vectors that are compared.
        attribute: what the embeddings shall not tell: an attribute of the data set, or "class".
        strength: factor of the reversed gradient, the paper's lambda (1, 5, 10).
        adversary_steps: steps of the attribute head before each of the encoder.
        adversary_learning_rate: of the attribute head's Adam.
    """

    temperature: float = 0.07
    projection_dim: int = 256
    attribute: str = "sensitive"
    strength: float = 1.0
    adversary_steps: int = 1
    adversary_learning_rate: float = 1e-3

    mixes_records: ClassVar[str] = (
        "every view is compared with those of the batch's other records, and the attribute head has learnt from all"
    )

    def build(self, size: Size, classes: int) -> "TalosMethod":
        """See `Recipe.build`; `classes` are the values of the attribute."""
        del size
        self.check()
        if self.strength < 0 or self.adversary_steps < 1 or self.adversary_learning_rate <= 0:
            raise UsageError(
                "recipe 'talos': strength must not be negative, adversary_steps be at least 1 and "
                "adversary_learning_rate above 0."
            )
        return TalosMethod(self, classes)


class TalosMethod(SimpleContrastMethod):
    """Talos (He and Zhang, CCS 2021, https://arxiv.org/abs/2102.04140, section 6); publishes the encoder.

    In every step the attribute head learns from the embeddings of both views first, then the encoder takes InfoNCE
    plus the head's cross-entropy, whose gradient comes back to it reversed (Ganin and Lempitsky, ICML 2015).
    """

    options: Talos

    def __init__(self, options: Talos, classes: int) -> None:
        super().__init__(options)
        head = nn.Sequential(
            nn.Linear(self.width, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, classes),
        )
        self.adversary = InnerAdam(head, options.adversary_learning_rate)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """NT-Xent, and the attribute head's cross-entropy behind the reversal; `labels` are the attribute's values."""
        del progress
        count = len(images)
        embeddings = self.embeddings(images, generator)
        joint = torch.cat([self.workers.joint(view, count) for view in embeddings.float().chunk(2)])
        told = labels.repeat(2)  # both views of an image have its attribute
        for _ in range(self.options.adversary_steps):
            self.teach_adversary(joint.detach(), told)
        confusion = cross_entropy(self.adversary.network(reversed_gradient(joint, self.options.strength)).float(), told)
        return self.contrast(embeddings, count) + confusion

    def teach_adversary(self, embeddings: Tensor, attribute: Tensor) -> None:
        """One step of the attribute head on embeddings [S, D] and values int64 [S]; alike on all workers."""
        network = self.adversary.network
        weights = {name: weight.detach().requires_grad_() for name, weight in network.named_parameters()}
        loss = cross_entropy(functional_call(network, weights, (embeddings,)).float(), attribute)
        self.adversary.step(torch.autograd.grad(loss, list(weights.values())))


def reversed_gradient(values: Tensor, strength: float) -> Tensor:
    """`values` as they are, whose gradient comes back times -`strength` (Ganin and Lempitsky, 2015, Eq. 10)."""
    return (1 + strength) * values.detach() - strength * values
