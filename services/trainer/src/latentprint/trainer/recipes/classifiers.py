"""Architectures of classifiers by name, and the options that make them smaller."""

from collections.abc import Mapping
from typing import Any, Literal

from latentprint.core.errors import UsageError, unknown_name
from latentprint.trainer.recipes.norms import Norm, norm_arguments

PERCEPTRON = "mlp"
Architecture = Literal[
    "resnet18_cifar",
    "resnet18_cifar_narrow",
    "resnet56_cifar",
    "vgg16_cifar",
    "wrn32_4_cifar",
    "mobilenetv2_cifar",
    "mlp",
]
_MULTIPLE = 8  # group norm has as many groups


def classifier_arguments(
    architecture: Architecture, options: Mapping[str, Any], norm: Norm, classes: int
) -> dict[str, Any]:
    """What timm makes the classifier with, beside its name.

    Args:
        architecture: its name.
        options: of its size, of those that `latentprint.core.architectures.OPTIONS` names.
        norm: which norms it has; a perceptron has none.
        classes: number of classes.

    Raises:
        UsageError: an option that the architecture does not have, or a value that cannot be.
    """
    from latentprint.core import architectures  # with timm, which whoever plans a training does without

    for name, value in options.items():
        known = architectures.OPTIONS[architecture]
        if name not in known:
            raise unknown_name(f"architecture option of {architecture!r}", name, known)
        _check(name, value)
    norms = {} if architecture == PERCEPTRON else norm_arguments(norm)
    return {"num_classes": classes, **norms, **options}


def _check(name: str, value: Any) -> None:
    values = value if isinstance(value, list | tuple) and name == "hidden" else [value]
    if not values or any(type(number) is not int or number < 1 for number in values):
        raise UsageError(f"architecture_options: {name} must be a positive whole number, not {value!r}.")
    if name == "width" and value % _MULTIPLE:
        raise UsageError(f"architecture_options: width must be a multiple of {_MULTIPLE}, not {value}.")
