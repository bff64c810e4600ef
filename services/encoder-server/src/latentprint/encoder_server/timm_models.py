"""timm models by name: weights from the hub as safetensors, or untrained ones from a seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from latentprint.core import architectures
from latentprint.core.digests import digest_arrays, digest_file
from latentprint.core.encoders import Encoder, vector_features
from latentprint.core.errors import DataError, EndpointError, UsageError, unknown_name
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, POSTERIOR
from latentprint.core.samples import Size, size_of
from latentprint.encoder_server.settings import HUB, Inputs
from latentprint.encoder_server.victims import Victim, has_fixed_size, restricted

RANDOM = "random"
WEIGHTS = (HUB, RANDOM)
_FILE = "model.safetensors"


OWN = Inputs()


def from_timm(
    architecture: str,
    name: str | None,
    outputs: Sequence[str],
    *,
    weights: str,
    seed: int,
    options: Mapping[str, Any],
    inputs: Inputs = OWN,
) -> Victim:
    """Make a timm model to serve.

    Args:
        architecture: timm's name, such as "resnet18.a1_in1k".
        name: the name to serve it under; the architecture's where None.
        outputs: what to make public; all that the model has where empty.
        weights: "hub" or "random".
        seed: of random weights.
        options: keyword arguments of the model, such as img_size.
        inputs: the images that it is made for.

    Raises:
        UsageError: an unknown architecture, option or source of weights; images of a size that the architecture does
            not take.
        DataError: the hub has no safetensors for it.
        EndpointError: the hub cannot be reached and the weights are not cached.
    """
    architectures.register()
    if weights not in WEIGHTS:
        raise unknown_name("source of weights", weights, WEIGHTS)
    architectures.check_known(architecture)
    if weights == HUB:
        model, digest = _from_hub(architecture, options, inputs)
    else:
        model, digest = _untrained(architecture, seed, options, inputs)
    of_images = vector_features(model) is None
    public = (EMBEDDING, *([FEATURE_MAP] if of_images else []), *([POSTERIOR] if model.num_classes else []))
    encoder = restricted(Encoder(model, public), outputs)
    size = _size(architecture, model, options) if of_images else None
    victim = Victim(name or architecture, encoder, architecture, size, has_fixed_size(model), digest, options)
    _check_answers(victim)
    return victim


def _size(architecture: str, model: Any, options: Mapping[str, Any]) -> Size:
    """Size of the images that the model was made for; timm writes it as one number, or as height and width."""
    size = options.get("img_size") or model.pretrained_cfg["input_size"][-2:]
    sides = [*size] if isinstance(size, list | tuple) else [size]
    if not all(isinstance(side, int) and side > 0 for side in sides) or len(sides) not in {1, 2}:
        raise UsageError(f"img_size of {architecture!r} must be a number of pixels, or height and width, not {size!r}.")
    return size_of(int(sides[0]), int(sides[-1]))


def _check_answers(victim: Victim) -> None:
    """Ask once, so that a size that the architecture does not take is told before anything is served."""
    try:
        victim.encoder.shapes(victim.sample_shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UsageError(
            f"{victim.architecture!r} does not answer samples of the shape {victim.sample_shape}: {_reason(error)}"
        ) from None


def _untrained(architecture: str, seed: int, options: Mapping[str, Any], inputs: Inputs) -> tuple[Any, str]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(architecture, options, pretrained=False, pretrained_cfg_overlay=inputs.overlay)
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    return model, digest_arrays(**state)


def _from_hub(architecture: str, options: Mapping[str, Any], inputs: Inputs) -> tuple[Any, str]:
    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.hf_hub_id:
        raise DataError(f"timm knows no weights on the hub for {architecture!r}: serve it with --weights random.")
    path = _fetch(architecture, config.hf_hub_id)
    overlay = {"file": str(path), **inputs.overlay}
    model = _create(architecture, options, pretrained=True, pretrained_cfg_overlay=overlay)
    return model, digest_file(path)


def _fetch(architecture: str, repository: str) -> Path:
    """The safetensors file in the hub's cache; only ever this file, since other formats can run code."""
    try:
        return Path(hf_hub_download(repository, _FILE))
    except EntryNotFoundError as error:
        if isinstance(error, LocalEntryNotFoundError):
            raise _unreachable(architecture) from None
        raise DataError(f"The hub has no {_FILE} for {architecture!r}, and no other format is loaded.") from None
    except (HfHubHTTPError, OSError):
        raise _unreachable(architecture) from None


def _unreachable(architecture: str) -> EndpointError:
    return EndpointError(
        f"The weights of {architecture!r} are not cached here and the Hugging Face hub cannot be reached: "
        "go online once, or serve untrained weights with --weights random."
    )


def _create(architecture: str, options: Mapping[str, Any], **sources: Any) -> Any:
    try:
        return timm.create_model(architecture, **sources, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"timm does not make {architecture!r} with {dict(options)}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
