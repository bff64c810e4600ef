"""What the people of `identities` look like, and how they stand before the camera."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.painting import Parts, Reals, rgb
from latentprint.core.views.streams import uniforms

SENSITIVE = ("nothing", "belt", "badge")
POSE = 12  # draws of a pose
_MARKS = 6
_LEGS, _ARMS, _TORSO, _ACCESSORY, _HEAD, _HAIR, _MARK = slice(0, 2), slice(2, 4), 4, 5, 6, 7, slice(8, 8 + _MARKS)
_PARTS = 8 + _MARKS
_WORN = [2, 3, _TORSO, *range(8, _PARTS)]
MOST_LOOKS = 16
_CENTRE = np.array([(-0.09, 0.5), (0.09, 0.5), (-0.24, -0.1), (0.24, -0.1), (0, -0.12), (0, 0), (0, -0.58), (0, -0.66)])
_HALF = np.array(
    [(0.08, 0.36), (0.08, 0.36), (0.055, 0.26), (0.055, 0.26), (0.21, 0.32), (0, 0), (0.1, 0.13), (0.115, 0.09)]
)
_ROUNDNESS = np.array([0.2, 0.2, 0.4, 0.4, 0.1, 0.0, 1.0, 1.0, *[0.5] * _MARKS])


@dataclass(frozen=True)
class People:
    """Bodies as they are, one a row, before any pose or light; x and y in the body's own frame, its height about 1.7.

    Attributes:
        centre, half: float64 [B, P, 2].
        angle: float64 [B, P], radians.
        taper: float64 [B, P].
        colour: float64 [B, P, 3], RGB in [0, 1].
        waves: float64 [B, P, 2, 4], as in `Parts`.
    """

    centre: Reals
    half: Reals
    angle: Reals
    taper: Reals
    colour: Reals
    waves: Reals


def draw_people(
    labels: Mapping[str, NDArray[np.int64]], look: NDArray[np.int64], seed: int, visibility: float
) -> People:
    """The person in each image: of `labels` "user", "class" and "sensitive", int64 [B], in one of their looks.

    What a person wears above the legs is another in each `look` (int64 [B], from 0); legs, head and hair are theirs.
    Whoever has an accessory wears it in a colour that lies `visibility` of the way from the clothing's to black or
    white, so that at 0 it cannot be told from the clothing.
    """
    draws = _shared(labels["user"], seed, "identities/user")  # [B, P, 14]
    worn = _shared(labels["user"] * MOST_LOOKS + look, seed, "identities/look")
    draws[:, _WORN] = worn[:, _WORN]
    cut = uniforms(labels["class"], seed, (6,), purpose="identities/class")
    centre, half = _build(draws, cut)
    colour, waves = _colours(draws, cut), _waves(draws)
    _put_on(labels["sensitive"], centre, half, colour, visibility, draws[:, _ACCESSORY, 0] < 0.5)
    waves[:, _ACCESSORY] = waves[:, _TORSO]
    angle = np.zeros(centre.shape[:2])
    angle[:, _MARK] = np.pi * draws[:, _MARK, 8]
    taper = np.zeros_like(angle)
    taper[:, _LEGS] = 0.8 * (cut[:, 4:5] - 0.5)
    taper[:, _TORSO] = 0.6 * (cut[:, 5] - 0.5)
    return People(centre, half, angle, taper, colour, waves)


def posed(people: People, pose: Reals, variation: float) -> Parts:
    """People before the camera.

    Args:
        people: their bodies.
        pose: float64 [B, POSE], uniform draws: of the place (2), distance, lean, turn, steps and arms (3), light (4).
        variation: how far poses and light differ from the middle one, as a multiple of the usual.
    """
    draw = variation * (pose - 0.5) / 2  # [B, POSE]
    turn, scale = 0.35 * draw[:, 3:4], 0.95 * np.exp(0.4 * draw[:, 2:3])
    centre, angle = people.centre.copy(), people.angle.copy()
    narrowing = 1 - 0.5 * np.abs(draw[:, 4:5])
    centre[:, _MARK, 0] += 0.25 * draw[:, 4:5]  # what is worn on the chest moves across as the person turns
    centre[..., 0] *= narrowing
    angle[:, _LEGS] += 0.5 * draw[:, 5:6] * np.array([1, -1])
    angle[:, _ARMS] += 0.8 * draw[:, 6:8]
    x = centre[..., 0] * np.cos(turn) - centre[..., 1] * np.sin(turn)
    y = centre[..., 0] * np.sin(turn) + centre[..., 1] * np.cos(turn)
    shift = draw[:, None, :2] * np.array([0.25, 0.2])
    light = np.exp(0.8 * draw[:, 8:9] + 0.4 * draw[:, 9:12])[:, None]  # [B, 1, 3]
    half = people.half * scale[..., None]
    half[..., 0] *= narrowing
    rows = len(pose)
    return Parts(
        centre=_single(np.stack([x, y], axis=-1) * scale[..., None] + shift),
        half=_single(half),
        turn=_single(np.stack([np.cos(angle + turn), np.sin(angle + turn)], axis=-1)),
        roundness=_single(np.tile(_ROUNDNESS, (rows, 1))),
        corner=_single(np.full((rows, _PARTS), 0.55)),
        taper=_single(people.taper),
        colour=_single(np.clip(people.colour * light, 0, 1)),
        waves=_single(people.waves),
    )


def _shared(owner: NDArray[np.int64], seed: int, purpose: str) -> Reals:
    """Draws [B, P, 14] that all images of one owner, int64 [B], share."""
    owners, place = np.unique(owner, return_inverse=True)
    return uniforms(owners, seed, (_PARTS, 14), purpose=purpose)[place]


def _build(draws: Reals, cut: Reals) -> tuple[Reals, Reals]:
    """Centres and half sizes of all parts: a person's proportions, the cut of the clothing, and the marks."""
    own = 1 + 0.3 * (draws[:, :8, :2] - 0.5)
    centre = np.concatenate([np.tile(_CENTRE, (len(draws), 1, 1)), np.empty((len(draws), _MARKS, 2))], axis=1)
    half = np.concatenate([_HALF * own, np.empty((len(draws), _MARKS, 2))], axis=1)
    half[:, _LEGS, 0] *= 0.75 + 0.7 * cut[:, 0:1]
    half[:, _ARMS, 1] *= 0.7 + 0.5 * cut[:, 1:2]
    half[:, _TORSO, 1] *= 0.85 + 0.4 * cut[:, 2]
    chest = half[:, _TORSO, None]  # [B, 1, 2]
    centre[:, _MARK] = centre[:, _TORSO, None] + 1.5 * (draws[:, _MARK, :2] - 0.5) * chest
    half[:, _MARK] = 0.03 + 0.09 * draws[:, _MARK, 2:4]
    return centre, half


def _put_on(
    sensitive: NDArray[np.int64], centre: Reals, half: Reals, colour: Reals, visibility: float, dark: NDArray[np.bool_]
) -> None:
    """Give those who wear one their belt or badge, in place."""
    torso, chest = centre[:, _TORSO], half[:, _TORSO]
    belt = np.stack([chest[:, 0], np.full(len(chest), 0.07)], axis=-1)
    badge = np.full_like(belt, 0.09)
    half[:, _ACCESSORY] = np.stack([np.zeros_like(belt), belt, badge])[sensitive, np.arange(len(belt))]
    places = np.stack([torso, torso + chest * [0, 0.6], torso + chest * [0.4, -0.4]])
    centre[:, _ACCESSORY] = places[sensitive, np.arange(len(belt))]
    accent = np.where(dark, 0.02, 0.98)[:, None]
    colour[:, _ACCESSORY] = colour[:, _TORSO] + visibility * (accent - colour[:, _TORSO])


def _colours(draws: Reals, cut: Reals) -> Reals:
    """RGB of each part: of one's own clothing, with a tendency of its kind, of skin and of hair, [B, P, 3]."""
    own = draws[..., 4:7]  # [B, P, 3]
    hue = own[..., 0].copy()
    hue[:, _TORSO] = cut[:, 3] + 0.5 * (own[:, _TORSO, 0] - 0.5)
    hue[:, _HEAD] = 0.06
    saturation, value = 0.2 + 0.7 * own[..., 1], 0.15 + 0.75 * own[..., 2]
    saturation[:, _HEAD] = 0.45
    value[:, _HAIR] *= 0.6
    colour = rgb(hue, saturation, value)
    colour[:, 1], colour[:, 3] = colour[:, 0], colour[:, 2]  # both legs, both sleeves
    return colour


def _waves(draws: Reals) -> Reals:
    """Two waves of each part, [B, P, 2, 4]; the second leg and sleeve have those of the first."""
    wave = np.stack([draws[..., 7:10], draws[..., 10:13]], axis=2)  # [B, P, 2, 3]
    direction, cycles = 2 * np.pi * wave[..., 0], 1 + 5 * wave[..., 1]
    waves = np.stack(
        [cycles * np.cos(direction), cycles * np.sin(direction), wave[..., 2], 0.2 * wave[..., 2]], axis=-1
    )
    waves[:, 1], waves[:, 3] = waves[:, 0], waves[:, 2]
    return waves


def _single(values: Reals) -> NDArray[np.float32]:
    return values.astype(np.float32)
