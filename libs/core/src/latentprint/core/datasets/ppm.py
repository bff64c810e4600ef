"""PPM images handed on as BMP: the same pixels, in a format that is decoded like any other."""

import io

from PIL import Image, UnidentifiedImageError

from latentprint.core.datasets.members import Members
from latentprint.core.errors import DataError


class PpmAsBmp:
    """Files that are all PPM images, each read as the BMP image of the same pixels."""

    def __init__(self, members: Members) -> None:
        self.place = members.place
        self._members = members

    def names(self) -> list[str]:
        """All names, sorted."""
        return self._members.names()

    def read(self, name: str) -> bytes:
        """The image `name` as BMP. Raises `DataError` unless it is a whole PPM image of 8-bit RGB."""
        content, where, bitmap = self._members.read(name), self.where(name), io.BytesIO()
        try:
            with Image.open(io.BytesIO(content), formats=("PPM",)) as image:
                if image.mode != "RGB":
                    raise DataError(f"{where} is not a PPM image of RGB pixels: fetch or extract it again.")
                image.save(bitmap, "BMP")
        except UnidentifiedImageError:
            raise DataError(f"{where} is not a PPM image: fetch or extract it again.") from None
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{where} is a broken image ({error}): fetch or extract it again.") from None
        return bitmap.getvalue()

    def where(self, name: str) -> str:
        """The file in words."""
        return self._members.where(name)
