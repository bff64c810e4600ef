"""Fetching of archives that torchvision knows the place and checksum of; nothing is fetched unless asked for."""

from pathlib import Path

from latentprint.core.errors import DataError

_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def fetch(name: str, folder: Path) -> Path:
    """Download the official archive of `name` into `folder`; where it is there and whole, nothing is fetched.

    Args:
        name: "cifar10" or "cifar100".
        folder: made where it is missing.

    Returns:
        The archive.

    Raises:
        DataError: no connection, no space, or an archive that is not the official one.
    """
    from torchvision import datasets  # takes seconds to import, which reading does not need
    from torchvision.datasets.utils import download_url

    known = getattr(datasets, _CLASSES[name])
    archive = folder / str(known.filename)
    if folder.is_file():
        raise DataError(f"{folder} is a file: with download, path names the folder to fetch {archive.name} to.")
    try:
        download_url(known.url, folder, known.filename, known.tgz_md5)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Cannot download {archive.name} to {folder} ({error}): check the connection, or fetch it by other means "
            "and leave download out."
        ) from None
    return archive
