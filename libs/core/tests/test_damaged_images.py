"""Images as strangers' cameras, programs and disks leave them: each decodes, or ends in a sentence with its name."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from latentprint.core.datasets.image_files import decode_image
from latentprint.core.errors import DataError

SIDE = 16
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def picture(side: int = 16, mode: str = "RGB") -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, side), np.linspace(0, 255, side))
    return Image.fromarray(np.stack([x, y, (x + y) / 2], axis=-1).astype(np.uint8)).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def decoded(content: bytes, side: int = SIDE) -> np.ndarray:
    return decode_image(io.BytesIO(content), "the file", side)


def tiff(*entries: tuple[int, int, int, bytes], order: str = "<", count: int | None = None) -> bytes:
    """An EXIF block; of each entry the tag, the type, the count, and four bytes that are its value or its offset."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3] for entry in entries)
    return head + struct.pack(order + "H", len(entries) if count is None else count) + body + b"\0" * 4


ORIENTATION = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
NEGATIVE = struct.pack("<ii", -1, 1)
BEHIND = 8 + 2 + 2 * 12 + 4
TURNED = {
    "an SRATIONAL of -1/1": tiff(ORIENTATION, (0x011A, 10, 1, struct.pack("<I", BEHIND))) + NEGATIVE,
    "a RATIONAL of 1/0": tiff(ORIENTATION, (0x011A, 5, 1, struct.pack("<I", BEHIND))) + struct.pack("<II", 1, 0),
    "an offset behind the end": tiff(ORIENTATION, (0x011A, 5, 1, b"\xff\xff\xff\x7f")),
    "an unknown type": tiff(ORIENTATION, (0x011A, 99, 1, b"\0" * 4)),
    "ASCII that is none": tiff(ORIENTATION, (0x010F, 2, 4, b"\xff\xfe\x80\0")),
    "an EXIF folder that is none": tiff(ORIENTATION, (0x8769, 4, 1, b"\xff\xff\xff\xff")),
    "an EXIF folder of another type": tiff(ORIENTATION, (0x8769, 2, 4, b"abc\0")),
    "a maker's note that is none": tiff(ORIENTATION, (0x927C, 7, 2**31, b"\0\0\0\1")),
}
LYING = {
    "no block": b"",
    "half a head": b"II*",
    "no TIFF": b"whatever this is",
    "more tags than there are": tiff((0x0112, 3, 1, b"\1\0\0\0"), count=60_000),
    "an orientation of 0": tiff((0x0112, 3, 1, struct.pack("<HH", 0, 0))),
    "an orientation of 99": tiff((0x0112, 3, 1, struct.pack("<HH", 99, 0))),
    "an orientation of text": tiff((0x0112, 2, 2, b"6\0\0\0")),
    "an orientation of fractions": tiff((0x0112, 5, 1, struct.pack("<I", 8))),
    "a folder that holds itself": tiff(ORIENTATION)[:4] + struct.pack("<I", 2**32 - 1),
}


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_is_turned_upright_whatever_its_other_tags_hold(kind: str, name: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    stored = picture().transpose(Image.Transpose.ROTATE_90)
    content = saved(stored, kind, exif=b"Exif\0\0" + TURNED[name] if kind != "WEBP" else TURNED[name], **options)
    upright = decoded(saved(picture(), kind, **options))
    difference = np.abs(decoded(content).astype(int) - upright).mean()
    assert difference < 3
    assert np.abs(decoded(saved(stored, kind, **options)).astype(int) - upright).mean() > 30


@pytest.mark.parametrize("name", LYING)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_tags_that_say_nothing_change_nothing(kind: str, name: str) -> None:
    plain = decoded(saved(picture(), kind))
    exif = LYING[name] if kind == "WEBP" else b"Exif\0\0" + LYING[name]
    given = decoded(saved(picture(), kind, exif=exif))
    np.testing.assert_array_equal(given, plain)


def test_every_orientation_is_undone() -> None:
    undone = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that made what is stored
    for orientation, method in undone.items():
        stored = picture() if method is None else picture().transpose(Image.Transpose(method))
        content = saved(stored, "PNG", exif=tiff((0x0112, 3, 1, struct.pack("<HH", orientation, 0))))
        np.testing.assert_array_equal(decoded(content), np.asarray(picture()))


MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA"],
    "JPEG": ["1", "L", "RGB", "CMYK", "YCbCr"],
    "WEBP": ["L", "LA", "P", "RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_every_mode_decodes(kind: str, mode: str) -> None:
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    expected = np.asarray(picture(mode=mode).convert("RGB")).astype(int)
    assert np.abs(decoded(saved(picture(mode=mode), kind, **options)) - expected).mean() < (
        0.1 if kind != "JPEG" else 9
    )


def test_sixteen_bits_are_refused_in_grey_and_rounded_down_in_colour() -> None:
    assert "more than 8 bits" in refusal(saved(picture(mode="I").convert("I;16"), "PNG"))
    pixels = np.asarray(picture())
    rows = b"".join(b"\0" + np.repeat(row.ravel(), 2).astype(np.uint8).tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decoded(b"\x89PNG\r\n\x1a\n" + chunks), pixels)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(name: bytes, content: bytes, image: Image.Image | None = None) -> bytes:
    """A PNG with one chunk more behind its header."""
    plain = saved(image or picture(), "PNG")
    return plain[:33] + chunk(name, content) + plain[33:]


CHUNKS = {
    "iCCP": b"name\0\0" + zlib.compress(b"no profile"),
    "iCCP that is no zlib": b"name\0\0garbage",
    "iCCP of another method": b"name\0\7garbage",
    "iCCP empty": b"",
    "cHRM": b"\0" * 3,
    "gAMA": b"",
    "sRGB": b"",
    "pHYs": b"\0\0",
    "pHYs of zero": b"\0" * 9,
    "tRNS": b"\0",
    "tEXt": b"\xff\xfe",
    "zTXt": b"a\0\0garbage",
    "iTXt": b"a\0\1\0\xff\0\xff\0garbage",
    "eXIf": b"MM\0*\xff\xff\xff\xff",
    "acTL": b"\0\0\0\0\0\0\0\0",
    "acTL cut": b"\0",
    "fcTL": b"\0" * 26,
    "fdAT": b"\0" * 8,
    "PLTE": b"\0" * 7,
    "XXXX": b"\0",
    "IHDR": b"\0" * 4,
}


@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_every_broken_chunk_decodes_or_is_named(name: str, mode: str) -> None:
    accounted(with_chunk(name[:4].encode(), CHUNKS[name], picture(mode=mode)))


@pytest.mark.parametrize("profile", [b"", b"x", b"\0" * 128, b"acsp" * 100, bytes(range(256)) * 300])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_colour_profile_is_not_read(kind: str, profile: bytes) -> None:
    np.testing.assert_array_equal(decoded(saved(picture(), kind, icc_profile=profile)), decoded(saved(picture(), kind)))


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [picture(mode="L").convert("RGB"), picture()]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decoded(content), np.asarray(frames[0]))
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    assert np.abs(decoded(content).astype(int) - np.asarray(frames[0])).mean() < 3
    accounted(content[: len(content) // 2 + 40])
    accounted(content.replace(b"MPF\0", b"MPF\0\xff\xff", 1))


def header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 5), (2**32 - 1, 2**32 - 1)])
def test_sizes_that_no_image_has_are_named(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="the file is"):
        decoded(header(*size))


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000), (1, 1)])
def test_a_line_and_a_point_are_images(size: tuple[int, int]) -> None:
    assert decoded(saved(Image.new("RGB", size, (9, 8, 7)), "PNG"))[0, 0].tolist() == [9, 8, 7]


def originals() -> Iterator[tuple[str, bytes]]:
    yield "jpeg", saved(picture(), "JPEG", exif=TURNED["an SRATIONAL of -1/1"], icc_profile=b"\0" * 200)
    yield "progressive", saved(picture(mode="CMYK"), "JPEG", progressive=True)
    yield "mpo", saved(picture(), "MPO", save_all=True, append_images=[picture()])
    yield "png", with_chunk(b"tRNS", b"\0\1\0\2\0\3")
    yield "palette", saved(picture(mode="P"), "PNG", transparency=b"\1\2\3", exif=TURNED["a RATIONAL of 1/0"])
    yield "animated png", saved(picture(), "PNG", save_all=True, append_images=[picture(mode="L").convert("RGB")])
    yield "webp", saved(picture(), "WEBP", exif=TURNED["an unknown type"], icc_profile=b"\0" * 200)
    yield "animated webp", saved(picture(), "WEBP", save_all=True, append_images=[picture(mode="1").convert("RGB")])
    yield "bmp", saved(picture(mode="P"), "BMP")


ORIGINALS = dict(originals())


def refusal(content: bytes) -> str:
    """The sentence that `content` ends in; "" where it decodes."""
    try:
        image = decoded(content)
    except DataError as error:
        return str(error)
    assert image.shape == (SIDE, SIDE, 3)
    return ""


def accounted(content: bytes) -> bool:
    """Whether `content` decodes; if it does not, that is said in one sentence with the file's name."""
    sentence = refusal(content)
    assert not sentence or (sentence.startswith("the file ") and sentence.endswith(".") and sentence.isprintable())
    return not sentence


@pytest.mark.parametrize("name", ORIGINALS)
def test_no_damage_ends_in_a_traceback(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)  # a damaged header may claim gigabytes
    content = ORIGINALS[name]
    assert accounted(content)
    for length in range(0, len(content), max(1, len(content) // 40)):
        accounted(content[:length])
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), rng.integers(1, 5)):
            damaged[place] = rng.integers(0, 256)
        accounted(bytes(damaged))
    for place in range(0, min(len(content), 240), 2):  # where headers, lengths and tags lie
        for value in (0, 0xFF):
            accounted(content[:place] + bytes([value]) + content[place + 1 :])
