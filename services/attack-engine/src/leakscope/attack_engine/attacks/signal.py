"""What is asked of an endpoint for a sample, and how the answers become a fixed-size array."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leakscope.attack_engine.endpoints.base import Endpoint
from leakscope.core.datasets import Ids, Images


@dataclass(frozen=True)
class SignalBatch:
    """Signals of B samples.

    Attributes:
        values: float32 [B, K].
        diagnostics: name to float32 [B, L]; kept for figures, never given to an inference model.
    """

    values: NDArray[np.float32]
    diagnostics: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Signal(Protocol):
    """A frozen, picklable description of a signal. It knows nothing of membership."""

    @property
    def name(self) -> str:
        """Name of the attack that it belongs to."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that the endpoint must offer."""
        ...

    def queries_per_sample(self, image_size: tuple[int, int]) -> int:
        """Images asked for one sample of `image_size` (height, width)."""
        ...

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signals of `images` (uint8 [B, H, W, 3]); one sample's never depends on the others in the batch."""
        ...
