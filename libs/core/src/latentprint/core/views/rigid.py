"""Rotation and translation, each image by its own amount."""

import torch
from torch import Tensor
from torch.nn import functional


def rotate_translate(images: Tensor, degrees: Tensor, shift: Tensor) -> Tensor:
    """Rotate about the centre, then move; bilinear, black where nothing was.

    Args:
        images: float [B, C, H, W].
        degrees: float [B], clockwise.
        shift: float [B, 2], fractions of the width (to the right) and of the height (down).
    """
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    move_x, move_y = 2 * shift[:, 0], 2 * shift[:, 1]  # in coordinates from -1 to 1
    aspect = height / width
    inverse = torch.stack(
        [
            torch.stack([cosine, sine * aspect, -cosine * move_x - sine * aspect * move_y], dim=1),
            torch.stack([-sine / aspect, cosine, sine / aspect * move_x - cosine * move_y], dim=1),
        ],
        dim=1,
    )  # [B, 2, 3], from the result's coordinates to the image's
    grid = functional.affine_grid(inverse.to(images.dtype), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
