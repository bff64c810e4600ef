"""Adversarial regularisation: a classifier that also confuses a network which tells members from other samples."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import logsigmoid, one_hot

from latentprint.core.errors import UsageError
from latentprint.core.samples import Size
from latentprint.trainer.recipes.answering import answering
from latentprint.trainer.recipes.held_out import HeldOutMethod
from latentprint.trainer.recipes.inner_adam import InnerAdam
from latentprint.trainer.recipes.supervised import Supervised


@dataclass(frozen=True)
class AdversarialRegularisation(Supervised):
    """Options of `adv-reg`, beside those of `supervised`.

    Attributes:
        adversary_weight: of the inference network's gain beside the cross-entropy.
        adversary_steps: steps of the inference network before each of the classifier.
        adversary_learning_rate: of the inference network's Adam.
        adversary_width: of its widest layer; the others follow.
    """

    adversary_weight: float = 1.0
    adversary_steps: int = 1
    adversary_learning_rate: float = 1e-3
    adversary_width: int = 1024

    mixes_records: ClassVar[str] = "the inference network that judges a record has learnt from all of its batch"
    needs_validation: ClassVar[bool] = True

    def build(self, size: Size, classes: int) -> "AdversarialRegularisationMethod":
        """See `Recipe.build`."""
        self.check(size, classes)
        if self.adversary_weight < 0 or self.adversary_steps < 1 or self.adversary_learning_rate <= 0:
            raise UsageError(
                "recipe 'adv-reg': adversary_weight must not be negative, adversary_steps be at least 1 and "
                "adversary_learning_rate above 0."
            )
        if self.adversary_width < _NARROWEST:
            raise UsageError(f"recipe 'adv-reg': adversary_width must be at least {_NARROWEST}.")
        return AdversarialRegularisationMethod(self, classes)


_NARROWEST = 16  # the narrowest layer is a 16th of the widest


class MembershipNetwork(nn.Module):
    """Says from posterior and class whether a sample is a member (Nasr et al., 2018, section 4).

    Args:
        classes: number of classes.
        width: of the widest layer.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.of_posterior = _layers(classes, width, width // 2, width // 16)
        self.of_class = _layers(classes, width // 2, width // 16)
        self.of_both = nn.Sequential(*_layers(width // 16 * 2, width // 4, width // 16), nn.Linear(width // 16, 1))

    def forward(self, posterior: Tensor, labels: Tensor) -> Tensor:
        """Logit that each is a member, float [b], from posteriors [b, C] and classes int64 [b]."""
        known = one_hot(labels, self.classes).to(posterior.dtype)
        both = torch.cat([self.of_posterior(posterior), self.of_class(known)], dim=1)
        answer: Tensor = self.of_both(both).squeeze(1).float()
        return answer


def _layers(*widths: int) -> nn.Sequential:
    return nn.Sequential(*[layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())])


def inference_gain(members: Tensor, others: Tensor) -> Tensor:
    """Mean log-likelihood of true membership under logits [B] of members and [B] of others (Nasr et al., Eq. 5)."""
    return (logsigmoid(members).mean() + logsigmoid(-others).mean()) / 2


class AdversarialRegularisationMethod(HeldOutMethod):
    """Adversarial regularisation (Nasr et al., CCS 2018, https://arxiv.org/abs/1807.05852); publishes the classifier.

    Before each of the classifier's steps the inference network takes its own, on the answers that would be served.
    """

    options: AdversarialRegularisation

    def __init__(self, options: AdversarialRegularisation, classes: int) -> None:
        super().__init__(options, classes)
        network = MembershipNetwork(classes, options.adversary_width)
        self.adversary = InnerAdam(network, options.adversary_learning_rate)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """See `Method.loss`: the inference network learns first, then judges the classifier's answers."""
        for _ in range(self.options.adversary_steps):
            self.teach_adversary(images, labels, generator)
        return super().loss(images, labels, generator, progress)

    def teach_adversary(self, images: Tensor, labels: Tensor, generator: Generator) -> None:
        """One step of the inference network on the joint batch and as many validation samples; alike on all workers."""
        held_out = self.held_out()
        rows = torch.randint(len(held_out), (len(images),), generator=generator, device=generator.device)
        members = self._answers(images, generator)
        others = self._answers(held_out.images[rows], generator)
        network = self.adversary.network
        weights = {name: weight.detach().requires_grad_() for name, weight in network.named_parameters()}
        told = functional_call(network, weights, (members, labels))
        gain = inference_gain(told, functional_call(network, weights, (others, held_out.labels[rows])))
        self.adversary.step(torch.autograd.grad(-gain, list(weights.values())))

    def _answers(self, samples: Tensor, generator: Generator) -> Tensor:
        """Posteriors [B, C] of a view of the joint batch, as the published classifier would give them."""
        view = self.view(samples, self.augmentation, generator, samples.shape[1])
        with torch.no_grad(), answering(self.backbone):
            posterior = self.backbone(view).float().softmax(dim=1)
        return self.workers.joint(posterior, len(samples))

    def forward(self, view: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each record, and by its weight how sure the inference network is of it, float [b]."""
        logits = self.backbone(view).float()
        told = self.adversary.network(logits.softmax(dim=1), labels)
        return self.cross_entropy(logits, labels) + self.options.adversary_weight * logsigmoid(told)
