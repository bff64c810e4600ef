"""The forward on one device: any number of samples in, float32 arrays out."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError
from latentprint.core.samples import Samples
from latentprint.encoder_server.settings import Batching, Compute

Arrays = dict[str, NDArray[np.float32]]


class Forward:
    """An encoder on one device, asked in chunks of as many samples as `batching` puts in one forward.

    Raises:
        UsageError: a device that this machine does not have.
    """

    def __init__(self, encoder: Encoder, device: str, compute: Compute, batching: Batching) -> None:
        self._batching = batching
        self._threads = compute.threads
        self._bf16 = compute.precision == "bf16"
        try:
            self._device = torch.device(device)
            self._encoder = copy.deepcopy(encoder).to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"The device {device!r} cannot be used here: {str(error).splitlines()[0]}.") from None

    def prepare_thread(self) -> None:
        """Settle what torch keeps per thread; called once by the thread that will run the forwards."""
        if self._threads:
            torch.set_num_threads(self._threads)

    def __call__(self, samples: Samples, outputs: Sequence[str]) -> Arrays:
        """Answer `outputs` for a writable array of uint8 images or float32 vectors, at least one, in float32."""
        parts = [self.batch(part, outputs) for part in _chunks(samples, self._batching.samples(samples.shape[1:]))]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    def batch(self, samples: Samples, outputs: Sequence[str]) -> Arrays:
        """One forward of all these samples."""
        with self._precision():
            return self._encoder.answer(samples, outputs)

    def _precision(self) -> AbstractContextManager[object]:
        if not self._bf16:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a forward failed because the device's memory did not suffice at that moment."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "not enough memory" in str(error)


def _chunks(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]
