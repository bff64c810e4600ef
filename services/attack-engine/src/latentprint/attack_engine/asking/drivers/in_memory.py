"""A model that a program holds, a PyTorch module or any function of images, asked as a remote endpoint is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.errors import EndpointError, UsageError, unknown_name
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, OUTPUTS
from latentprint.core.samples import Samples, blank_samples, is_vector, sample_dtype, size_of

Channels = Sequence[float]
_TOGETHER = 256  # samples that a model is asked about at once


class InMemoryModel:
    """Answers from a model of this process; see `Connection`.

    A function is given samples as this package passes them on, uint8 [B, H, W, 3] or float32 [B, F]. A PyTorch module
    is given float32 [B, 3, H, W], scaled to [0, 1] and normalised, or vectors as they are; it is asked in eval mode and
    without gradients, and left in the mode that it was in. Either answers by output name, or with one array: vectors
    [B, D] are the embedding, maps [B, D, h, w] the feature map, whose mean is the embedding.

    Args:
        model: a module or a function.
        sample_shape: of what it will be asked, (H, W, 3) or (F,).
        name: what reports call it.
        mean, std: of the module's inputs, a number a channel.

    Raises:
        UsageError: it answers under a name that is none of the outputs, or a normalisation that is none.
        EndpointError: it answers with what is no output of the samples.
    """

    in_flight = 1
    interruptions = 0

    def __init__(
        self,
        model: Callable[[Any], Any],
        sample_shape: tuple[int, ...],
        *,
        name: str = "model",
        mean: Channels = (0.0, 0.0, 0.0),
        std: Channels = (1.0, 1.0, 1.0),
    ) -> None:
        if not is_vector(sample_shape) and (len(mean) != 3 or len(std) != 3 or min(std) <= 0):
            raise UsageError(f"mean and std must be three numbers each, std above 0, not {mean} and {std}.")
        self._name = name
        self._answer = _module_answers(model, mean, std) if hasattr(model, "state_dict") else model
        shapes = {key: value.shape[1:] for key, value in self._asked(blank_samples(2, sample_shape)).items()}
        self._card = EndpointCard(
            url=f"python:{name}",
            model=name,
            outputs=shapes,
            image_side=None if is_vector(sample_shape) else size_of(*sample_shape[:2]),
            serving_digest=uuid4().hex,  # nothing is known of a function: no other run may take its answers for its own
            max_images=_TOGETHER,
            preferred_images=_TOGETHER,
            max_message_bytes=2**31 - 1,
            bytes_per_value=sample_dtype(sample_shape).itemsize,
            idempotent=True,
            features=sample_shape[0] if is_vector(sample_shape) else None,
        )

    def read_card(self) -> EndpointCard:
        """What was found by asking it about blank samples."""
        return self._card

    def ask(self, samples: Samples, outputs: Sequence[str], request_id: str) -> Answers:
        """See `Connection.ask`."""
        answers = self._asked(samples)
        return {name: answers[name] for name in outputs}

    def close(self) -> None:
        """Nothing to close: the program goes on with its model."""

    def _asked(self, samples: Samples) -> Answers:
        given = self._answer(samples)
        if isinstance(given, tuple | list):
            raise EndpointError(
                f"{self._name} answered with a {type(given).__name__}: give one array or tensor, or a mapping of "
                f"{', '.join(OUTPUTS)} to such."
            )
        named = given if isinstance(given, Mapping) else _named(_array(given), self._name)
        for name in named:
            if name not in OUTPUTS:
                raise unknown_name("output", name, OUTPUTS)
        answers = {name: _array(value).astype(np.float32) for name, value in named.items()}
        for name, value in answers.items():
            if value.ndim < 2 or len(value) != len(samples):
                raise EndpointError(
                    f"{self._name} answered {len(samples)} samples with {name} of the shape {list(value.shape)}: the "
                    "first axis must be the samples'."
                )
        return answers


def _named(values: NDArray[Any], name: str) -> Mapping[str, NDArray[Any]]:
    """One array as outputs, by its shape."""
    if values.ndim == 2:
        return {EMBEDDING: values}
    if values.ndim == 4:
        tokens = values.reshape(*values.shape[:2], -1).swapaxes(1, 2)  # [B, D, h, w] -> [B, N, D]
        return {EMBEDDING: tokens.mean(axis=1), FEATURE_MAP: tokens}
    raise EndpointError(
        f"{name} answered with the shape {list(values.shape)}: give vectors [B, D], maps [B, D, h, w], or a mapping of "
        f"{', '.join(OUTPUTS)}."
    )


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().float().cpu().numpy() if hasattr(value, "detach") else value)


def _module_answers(module: Any, mean: Channels, std: Channels) -> Callable[[Samples], Any]:
    """A PyTorch module as a function of samples."""
    import torch

    def answer(samples: Samples) -> Any:
        first = next(module.parameters(), None)
        inputs = torch.from_numpy(np.ascontiguousarray(samples)).float()
        if inputs.ndim == 4:
            inputs = (inputs / 255 - torch.tensor(mean)) / torch.tensor(std)
            inputs = inputs.permute(0, 3, 1, 2).contiguous()
        training = module.training
        module.eval()
        try:
            with torch.inference_mode():
                return module(inputs if first is None else inputs.to(first.device, first.dtype))
        finally:
            module.train(training)

    return answer
