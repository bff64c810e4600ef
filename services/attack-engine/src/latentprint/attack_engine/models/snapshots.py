"""Snapshots of a student on disk: weights alone, half the bytes, one file an epoch."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically

State = dict[str, Tensor]
_LOSSES = "losses.json"


@dataclass(frozen=True)
class SnapshotStore:
    """The folder of one distillation.

    Weights are kept as float16, statistics of batch norm as they are: an answer changes by about 1e-3 of itself, alike
    for target and shadow.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """What an unfinished distillation goes on from."""
        return self.folder / "checkpoint.safetensors"

    def write(self, epoch: int, model: nn.Module) -> None:
        """Keep the snapshot of an epoch, counted from 0. Raises `DataError` without room."""
        trained = {name for name, _ in model.named_parameters()}
        state = {
            name: (value.half() if name in trained else value).contiguous().cpu()
            for name, value in model.state_dict().items()
        }
        write_atomically(self._path(epoch), save(state))

    def read(self, epoch: int) -> State:
        """The snapshot of an epoch, its weights float32 again. Raises `DataError` for a missing or damaged one."""
        path = self._path(epoch)
        try:
            state = load(path.read_bytes())
        except (FileNotFoundError, SafetensorError) as error:
            raise DataError(
                f"The snapshot {path} is missing or damaged ({error}): remove {self.folder}, and the model is "
                "distilled again from the answers that are kept."
            ) from None
        return {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}

    def finish(self, losses: list[float]) -> None:
        """Tell that the distillation is whole, and forget the checkpoint."""
        write_atomically(self.folder / _LOSSES, json.dumps(losses).encode())
        self.checkpoint.unlink(missing_ok=True)

    @property
    def losses(self) -> list[float] | None:
        """Mean loss of every epoch; None while the distillation is not whole."""
        path = self.folder / _LOSSES
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _path(self, epoch: int) -> Path:
        return self.folder / f"snapshot-{epoch:03d}.safetensors"
