"""What a model says of samples: the scaled logit of the true class, sample by sample."""

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.posteriors.metrics import scaled_logit
from latentprint.core.datasets import Dataset, Ids
from latentprint.core.encoders import POSTERIOR, Encoder

_BATCH = 256


@torch.inference_mode()
def scaled_logits(encoder: Encoder, dataset: Dataset, ids: Ids) -> NDArray[np.float32]:
    """Scaled logits float32 [S] of an encoder that answers posteriors, for samples `ids` (int64 [S])."""
    label = dataset.labels["class"][ids]
    parts = [np.zeros(0)]
    for start in range(0, len(ids), _BATCH):
        rows = slice(start, start + _BATCH)
        answer = encoder.answer(np.ascontiguousarray(dataset.images(ids[rows])), (POSTERIOR,))[POSTERIOR]
        parts.append(scaled_logit(answer, label[rows]))
    return np.concatenate(parts).astype(np.float32)
