"""PartCrop (CCS 2024): how strongly an image's own parts respond in its feature map."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import Outputs, QueryShape, SignalBatch, Values, require_images
from latentprint.attack_engine.evidence.energies import (
    Floats,
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)
from latentprint.attack_engine.signals.feature_maps import as_locations, checked_channels, no_map, width_of
from latentprint.attack_engine.signals.parts import SPECTRAL, draw_adaptive_parts, draw_parts, part_side
from latentprint.core.datasets import Ids, Images
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP
from latentprint.core.samples import Size, height_width
from latentprint.core.views.part_crops import PartCropParameters, part_crops
from latentprint.core.views.tiles import tiles

_LARGEST = float(np.finfo(np.float32).max)
_ROUNDING = 1e-12  # a divergence that is smaller is float64's noise around none, and no signal


@dataclass(frozen=True)
class PartCropSignal:
    """Energies of `crops` part crops against the whole image's feature map, sorted (Sec. 4 of the paper).

    Attributes:
        crops: part crops an image, M.
        scale: range of the crops' share of the image's area, or of the object's where parts are adaptive.
        similarity: "dot" as in the paper, or "cosine".
        energies: "both" (U and G), "uniform" or "gaussian".
        side: of a resized part, pixels, or its (height, width); 0 chooses 16 up to 64 pixels, a quarter of the image
            above.
        parts: "random" as in the paper, or "adaptive": inside the object, found locally.
        saliency: how adaptive parts find the object: "spectral", or the folder of a local encoder's bundle.
        feature_map: "endpoint", or "tiles" where the endpoint returns none: the embeddings of overlapping tiles.
        part_vector: what stands for a part: its "embedding", or its own feature map, averaged over the locations
            ("pooled"), the same quantity where the embedding is the map's average. "auto" takes the embedding unless
            its width is not the map's (as behind a MobileNetV3's last layers), so that the two have no product.
        map_channels: whether the feature map's channels come "last" or "first"; "auto" reads it off the shape.
        tile_grid, tile_overlap: tiles along a side, and the fraction of a tile that its neighbour shares.
        fresh: independent draws of the crops; the published code draws anew at every epoch of its inference model.
        seed: of the crops and of the Gaussian references.
    """

    crops: int = 128
    scale: tuple[float, float] = (0.08, 0.2)
    similarity: Literal["dot", "cosine"] = "dot"
    energies: Literal["both", "uniform", "gaussian"] = "both"
    side: Size = 0
    parts: Literal["random", "adaptive"] = "random"
    saliency: str = SPECTRAL
    feature_map: Literal["endpoint", "tiles"] = "endpoint"
    part_vector: Literal["auto", "embedding", "pooled"] = "auto"
    map_channels: Literal["auto", "last", "first"] = "auto"
    tile_grid: int = 4
    tile_overlap: float = 0.5
    fresh: int = 1
    seed: int = 0

    name = "partcrop"

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn. Raises `UsageError`."""
        if self.crops < 1 or self.fresh < 1:
            raise UsageError(f"attack partcrop: crops and fresh must be at least 1, not {self.crops} and {self.fresh}.")
        if self.part_vector == "pooled" and self.feature_map == "tiles":
            raise UsageError("attack partcrop: pooled parts need the endpoint's feature map, for which tiles stand in.")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The feature map unless tiles stand for it, and the embedding unless the map's average stands for it."""
        if self.feature_map == "tiles":
            return (EMBEDDING,)
        return (FEATURE_MAP,) if self.part_vector == "pooled" else (FEATURE_MAP, EMBEDDING)

    @property
    def choice(self) -> str:
        """See `ShapedSignal.choice`."""
        return "the vector of a part is the average of its own feature map" if self.part_vector == "pooled" else ""

    def for_outputs(self, outputs: Outputs, url: str) -> "PartCropSignal":
        """See `ShapedSignal.for_outputs`: where the map's channels are, and what stands for a part."""
        if self.feature_map == "tiles":
            return self
        if FEATURE_MAP not in outputs:
            raise no_map([*outputs], url)
        shape, width = outputs[FEATURE_MAP], width_of(outputs.get(EMBEDDING))
        wanted = None if self.map_channels == "auto" else self.map_channels
        channels = checked_channels(shape, width, wanted, url)
        depth = shape[-1] if channels == "last" else shape[0]
        unlike = width is not None and depth > 0 and width != depth
        if unlike and self.part_vector == "embedding":
            raise UsageError(
                f"{url} gives embeddings of {width} numbers and a feature_map of {depth} channels, which have no "
                "product: let the map's average stand for a part (partcrop.part_vector=pooled)."
            )
        vector = self.part_vector
        if vector == "auto":
            vector = "pooled" if unlike or EMBEDDING not in outputs else "embedding"
        return replace(self, map_channels=channels, part_vector=vector)

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """The whole image once, or every tile; then every part."""
        require_images(self.name, sample_shape)
        return self._whole + self.crops * self.fresh

    def shapes_asked(self, sample_shape: tuple[int, ...]) -> tuple[QueryShape, ...]:
        """See `Resizing.shapes_asked`: the whole image, or its tiles, and the parts."""
        require_images(self.name, sample_shape)
        small = (*height_width(self._side(sample_shape)), sample_shape[2])
        option = f"{self.name}.side"
        tiled = QueryShape(small, self._whole, option)
        whole = QueryShape(sample_shape, 1) if self.feature_map == "endpoint" else tiled
        return (whole, QueryShape(small, self.crops * self.fresh, option))

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Energies of uint8 images [B, H, W, 3]: float32 [B, R * E * M], by draw, energy (U, then G) and crop.

        The diagnostic `part_response` [B, N] is the mean over crops of the responses sorted descending (Fig. 2).
        """
        locations = self._locations(images, endpoint)
        parts: Images = part_crops(
            torch.from_numpy(images), self._drawn(images, sample_ids), self._side(images.shape[1:])
        ).numpy()
        queries = self._part_vectors(parts, endpoint)
        _require_product(queries, locations, endpoint)
        response = log_responses(queries, locations, cosine=self.similarity == "cosine")
        ranked = -np.sort(-np.exp(response), axis=-1).mean(axis=1)
        return SignalBatch(self._energies(response), {"part_response": ranked.astype(np.float32)})

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: each energy of the first crops, sorted descending, draw by draw."""
        crops = self.crops if queries is None else queries - self._whole
        if not 1 <= crops <= self.crops or (queries is not None and self.fresh > 1):
            return None
        energies = values.reshape(len(values), self.fresh, -1, self.crops)[..., :crops]
        return -np.sort(-energies, axis=-1).reshape(len(values), self.fresh, -1)

    @property
    def _whole(self) -> int:
        """Queries that the whole image takes."""
        return 1 if self.feature_map == "endpoint" else self.tile_grid**2

    def _locations(self, images: Images, endpoint: Endpoint) -> NDArray[np.float32]:
        """The whole images' feature map, or its stand-in: [B, N, D]."""
        if self.feature_map == "endpoint":
            return self._map(images, endpoint)
        cut = tiles(torch.from_numpy(images), self.tile_grid, self.tile_overlap, self._side(images.shape[1:]))
        return _embeddings(cut.numpy(), endpoint)

    def _map(self, images: Images, endpoint: Endpoint) -> NDArray[np.float32]:
        """Feature maps [B, N, D]."""
        channels = "last" if self.map_channels == "auto" else self.map_channels
        return as_locations(endpoint.query(images, (FEATURE_MAP,))[FEATURE_MAP], channels)

    def _part_vectors(self, parts: Images, endpoint: Endpoint) -> NDArray[np.float32]:
        """What stands for each of the parts uint8 [B, M, h, w, 3]: [B, M, D]."""
        if self.part_vector != "pooled":
            return _embeddings(parts, endpoint)
        pooled = self._map(parts.reshape(-1, *parts.shape[2:]), endpoint).mean(axis=1)
        vectors: NDArray[np.float32] = pooled.reshape(*parts.shape[:2], -1)
        return vectors

    def _drawn(self, images: Images, sample_ids: Ids) -> PartCropParameters:
        crops, scale = self.crops * self.fresh, self.scale
        if self.parts == "random":
            return draw_parts(images, sample_ids, crops=crops, scale=scale, seed=self.seed)
        return draw_adaptive_parts(images, sample_ids, crops=crops, scale=scale, saliency=self.saliency, seed=self.seed)

    def _side(self, sample_shape: tuple[int, ...]) -> Size:
        return self.side or part_side((sample_shape[0], sample_shape[1]))

    def _energies(self, response: Floats) -> Values:
        """[B, R * M, N] log-responses to [B, R * E * M]."""
        references = gaussian_references(self.crops, response.shape[-1], np.random.default_rng(self.seed))
        uniform = uniform_energy(response)
        gaussian = gaussian_energy(response, np.tile(references, (self.fresh, 1)))
        chosen = {"both": (uniform, gaussian), "uniform": (uniform,), "gaussian": (gaussian,)}[self.energies]
        stacked = np.stack([energy.reshape(len(response), self.fresh, self.crops) for energy in chosen], axis=2)
        stacked[stacked < _ROUNDING] = 0
        return stacked.reshape(len(response), -1).clip(max=_LARGEST).astype(np.float32)


def _embeddings(cut: Images, endpoint: Endpoint) -> NDArray[np.float32]:
    """Embeddings [B, M, D] of cut-outs uint8 [B, M, h, w, 3]."""
    flat = endpoint.query(cut.reshape(-1, *cut.shape[2:]), (EMBEDDING,))[EMBEDDING]
    return flat.reshape(*cut.shape[:2], -1)


def _require_product(queries: NDArray[np.float32], locations: NDArray[np.float32], endpoint: Endpoint) -> None:
    """Raise `EndpointError` where answers turn out to have widths that the card left open and that do not match."""
    if queries.shape[-1] != locations.shape[-1]:
        raise EndpointError(
            f"{endpoint.card.url} gives part vectors of {queries.shape[-1]} numbers and a feature_map of "
            f"{locations.shape[-1]} channels, which have no product: let the map's average stand for a part "
            "(partcrop.part_vector=pooled), or say where its channels are (partcrop.map_channels)."
        )
