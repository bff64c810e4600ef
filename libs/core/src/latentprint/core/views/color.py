"""Changes of colour, each image by its own amount, as torchvision's `functional` makes them one image at a time."""

import torch
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)


def color_jitter(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, always in this order.

    Args:
        images: float [B, 3, H, W] in [0, 1].
        brightness: float [B], factor; 1 leaves it as it is.
        contrast: float [B], factor; 1 leaves it as it is.
        saturation: float [B], factor; 1 leaves it as it is.
        hue: float [B], shift in turns, -0.5 .. 0.5.
    """
    images = adjust_brightness(images, brightness)
    images = adjust_contrast(images, contrast)
    images = adjust_saturation(images, saturation)
    return adjust_hue(images, hue)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply float [B, 3, H, W] in [0, 1] by float [B], clipped to [0, 1]."""
    return (images * _per_image(factors)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend float [B, 3, H, W] with the mean grey of each image: factor 0 is that grey, 1 the image."""
    mean = luminance(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _per_image(factors)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend float [B, 3, H, W] with its grey version: factor 0 is grey, 1 the image."""
    return torch.lerp(luminance(images), images, _per_image(factors)).clamp_(0, 1)


def adjust_hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Turn the hue of float [B, 3, H, W] in [0, 1] by float [B] turns, in HSV."""
    red, green, blue = images.unbind(1)  # [B, H, W]
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    spread = chroma.clamp(min=torch.finfo(images.dtype).tiny)
    from_red, from_green, from_blue = (green - blue) / spread, (blue - red) / spread + 2, (red - green) / spread + 4
    sector = torch.where(red == value, from_red, torch.where(green == value, from_green, from_blue))  # sixths of a turn
    sector = sector + 6 * shifts.view(-1, 1, 1)
    channels = [value - chroma * _fade(sector + offset) for offset in (5, 3, 1)]
    return torch.stack(channels, dim=1).clamp_(0, 1)


def grayscale(images: Tensor) -> Tensor:
    """Grey version of float [B, 3, H, W], with three equal channels."""
    return luminance(images).expand_as(images)


def solarize(images: Tensor) -> Tensor:
    """Invert what is at least half as bright as can be, in float [B, 3, H, W] in [0, 1]."""
    return torch.where(images >= 0.5, 1 - images, images)


def luminance(images: Tensor) -> Tensor:
    """ITU-R 601-2 luma of float [B, 3, H, W]: [B, 1, H, W]."""
    red, green, blue = images.unbind(1)
    return (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]).unsqueeze(1)


def _fade(sector: Tensor) -> Tensor:
    """How much of the chroma a channel lacks at a place of the colour wheel (in sixths of a turn)."""
    place = sector % 6
    return torch.minimum(place, 4 - place).clamp_(0, 1)


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
