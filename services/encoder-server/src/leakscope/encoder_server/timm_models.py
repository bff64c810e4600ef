"""timm models by name: weights from the hub as safetensors, or untrained ones from a seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from leakscope.core import architectures
from leakscope.core.digests import digest_arrays, digest_file
from leakscope.core.encoders import EMBEDDING, FEATURE_MAP, POSTERIOR, Encoder, vector_features
from leakscope.core.errors import DataError, EndpointError, UsageError, unknown_name
from leakscope.encoder_server.victims import Victim, has_fixed_size, restricted

HUB = "hub"
RANDOM = "random"
WEIGHTS = (HUB, RANDOM)
_FILE = "model.safetensors"


def from_timm(
    architecture: str, name: str | None, outputs: Sequence[str], *, weights: str, seed: int, options: Mapping[str, Any]
) -> Victim:
    """Make a timm model to serve.

    Args:
        architecture: timm's name, such as "resnet18.a1_in1k".
        name: the name to serve it under; the architecture's where None.
        outputs: what to make public; all that the model has where empty.
        weights: "hub" or "random".
        seed: of random weights.
        options: keyword arguments of the model, such as img_size.

    Raises:
        UsageError: an unknown architecture, option or source of weights.
        DataError: the hub has no safetensors for it.
        EndpointError: the hub cannot be reached and the weights are not cached.
    """
    architectures.register()
    if weights not in WEIGHTS:
        raise unknown_name("source of weights", weights, WEIGHTS)
    if not timm.is_model(architecture.split(".")[0]):
        raise unknown_name("timm model", architecture, timm.list_models())
    if weights == HUB:
        model, digest = _from_hub(architecture, options)
    else:
        model, digest = _untrained(architecture, seed, options)
    of_images = vector_features(model) is None
    public = (EMBEDDING, *([FEATURE_MAP] if of_images else []), *([POSTERIOR] if model.num_classes else []))
    encoder = restricted(Encoder(model, public), outputs)
    side = int(options.get("img_size", model.pretrained_cfg["input_size"][-1])) if of_images else None
    return Victim(name or architecture, encoder, architecture, side, has_fixed_size(model), digest, options)


def _untrained(architecture: str, seed: int, options: Mapping[str, Any]) -> tuple[Any, str]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _create(architecture, options, pretrained=False)
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    return model, digest_arrays(**state)


def _from_hub(architecture: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.hf_hub_id:
        raise DataError(f"timm knows no weights on the hub for {architecture!r}: serve it with --weights random.")
    path = _fetch(architecture, config.hf_hub_id)
    model = _create(architecture, options, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
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
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"timm does not make {architecture!r} with {dict(options)}: {reason}") from None
