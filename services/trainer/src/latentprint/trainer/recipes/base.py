"""What a recipe is: plain options that build a method, and the few things the one loop asks of a method."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from latentprint.core.encoders import vector_features
from latentprint.core.memory_format import channels_last
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP
from latentprint.core.samples import Size, is_vector
from latentprint.core.views.augmentations import Augmentation, augment
from latentprint.trainer.members import CLASS, IDENTITY, TrainingSamples
from latentprint.trainer.workers import ALONE, Workers

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
_DECLARATION = "needs_validation"


def needs_validation(recipe: object) -> bool:
    """Whether a recipe's options declare, by a class variable, that the method learns from validation samples."""
    return bool(getattr(type(recipe), _DECLARATION, False))


def label_of(recipe: object) -> str:
    """The label that a recipe's method learns from: who is shown, the attribute that its options name, or the class."""
    if isinstance(recipe, IdentityRecipe):
        return IDENTITY
    return recipe.attribute if isinstance(recipe, AttributeRecipe) else CLASS


def normalisation(sample_shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that samples are normalised with: of images in [0, 1]; vectors stay as they are."""
    return ((0.0,), (1.0,)) if is_vector(sample_shape) else (MEAN, STD)


def normalised(images: Tensor) -> Tensor:
    """Pixels in [0, 255], [..., 3], as a backbone takes them; the served encoder does the same."""
    return (images - 255 * MEAN[0]) / (255 * STD[0])  # of every channel: numbers are fast, rows of three are not


def backbone_input(images: Tensor) -> Tensor:
    """Pixels in [0, 255], [B, H, W, 3], to float [B, 3, H, W], channels last in memory."""
    return normalised(images).permute(0, 3, 1, 2)


class Method(nn.Module, ABC):
    """A self-contained training method: everything with state is a parameter or a buffer, so a checkpoint holds it.

    Attributes:
        architecture: timm's name of the published backbone.
        model_args: what `timm.create_model` needs beside the name to make it again.
        outputs: the published backbone's public outputs.
        backbone: the timm model that is trained.
        workers: those that train this method together.
        validation: the owner's held-out samples, where the recipe's options declare that it `needs_validation`.
    """

    outputs: tuple[str, ...] = (EMBEDDING, FEATURE_MAP)
    workers: Workers = ALONE
    validation: TrainingSamples | None = None
    backbone: nn.Module

    def __init__(self, architecture: str, model_args: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = architecture
        self.model_args = dict(model_args)
        self.backbone = self.new_backbone()
        if vector_features(self.backbone) is not None:
            self.outputs = tuple(output for output in self.outputs if output != FEATURE_MAP)

    def new_backbone(self) -> nn.Module:
        """A freshly initialised backbone, in the memory format that suits it."""
        import timm  # here and not above: whoever plans a training does without it

        from latentprint.core import architectures

        architectures.register()
        model: nn.Module = timm.create_model(self.architecture, **self.model_args)
        return channels_last(model)

    @abstractmethod
    def optimiser(self) -> Optimizer:
        """The optimiser over what is trained; the loop sets its learning rate at every step."""

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Mean loss of a joint batch, the same on every worker.

        Every draw is made for the joint batch; parameters are applied to this worker's rows alone; and
        `workers.joint` puts rows together before they are averaged or compared with one another.

        Args:
            images: uint8 [B, H, W, 3], or float32 vectors [B, F], on the device, the joint batch.
            labels: int64 [B], class, or the attribute that the recipe's options name.
            generator: torch generator of this step; every random draw comes from it.
            progress: fraction of the schedule that is done, in [0, 1).
        """

    def view(
        self, images: Tensor, augmentation: Augmentation, generator: Generator, size: Size | None = None
    ) -> Tensor:
        """The rows of this worker of an augmented view of the joint batch, as a backbone takes them.

        Of the images' own size unless another is given.
        Vectors [B, F] are never augmented: their view is themselves.
        """
        rows = self.workers.rows(len(images))
        if is_vector(images.shape[1:]):
            return images[rows]
        own = (images.shape[1], images.shape[2])
        return backbone_input(augment(images, augmentation, generator, size or own, rows))

    def after_step(self, progress: float) -> None:
        """What follows the optimiser's step, such as a moving average of the weights."""

    def check_trained(self, loss: float) -> None:
        """Raise `UsageError` where what was trained is no victim, although the last epoch's mean `loss` is finite."""

    def published(self) -> nn.Module:
        """The backbone that a bundle holds."""
        return self.backbone


class Recipe(Protocol):
    """Options of one recipe: a frozen dataclass whose fields are what `--set` and YAML may change.

    Where the method is a `PerRecordMethod`, the class itself may declare so for DP-SGD by a class variable
    `held_constant`: what the loss takes as constant although earlier records shaped it, "" for nothing. Any other says
    why it cannot by `mixes_records`: how one record's gradient comes to depend on the others of its batch.
    """

    @property
    def batch_size(self) -> int:
        """Images a step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        ...

    @property
    def warmup(self) -> float:
        """Fraction of the schedule with a rising learning rate."""
        ...

    @property
    def augmentation(self) -> Augmentation:
        """The training augmentation of (global) views."""
        ...

    def build(self, size: Size, classes: int) -> Method:
        """A method for images of `size` and labels of `classes` values.

        Raises:
            UsageError: options that do not fit the images, or images of this shape.
        """
        ...


@runtime_checkable
class IdentityRecipe(Recipe, Protocol):
    """A recipe that learns who is who: labels are the split's units (the classes where it has none).

    A batch holds a few images of each of some identities; as many steps make an epoch as would show every image once.
    """

    @property
    def images_of_each(self) -> int:
        """Images of one identity in a batch."""
        ...


@runtime_checkable
class VectorRecipe(Recipe, Protocol):
    """A recipe that can train on vectors too."""

    def for_vectors(self, features: int) -> Self:
        """These options, completed for vectors of `features` numbers; `build` is then called with a size of 0.

        Raises:
            UsageError: an architecture that takes images, or an augmentation, which vectors have none of.
        """
        ...


@runtime_checkable
class AttributeRecipe(Recipe, Protocol):
    """A recipe whose method learns from an attribute of the samples instead of their class."""

    @property
    def attribute(self) -> str:
        """The attribute's name, or "class"."""
        ...
