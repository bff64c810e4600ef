"""Which file each sample of a data set is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.found_files import FoundFiles, PassedOver
from latentprint.core.text import SENTENCE_LENGTH, printable


@dataclass(frozen=True)
class SampleFiles:
    """The files that a data set's samples were read from.

    Attributes:
        roots: the folders of the user's own, or the one; none where an archive or a published folder gave the files.
        root: int64 [N], which of them each sample lies in; 0 where there are none.
        names: N paths, relative to their root, as the file system has them.
        passed_over: of each root, what was left out of it.
        classes: of each root, the names of its class folders; none where some of its files lie in the root itself.
    """

    roots: tuple[Path, ...]
    root: NDArray[np.int64]
    names: tuple[str, ...]
    passed_over: tuple[tuple[PassedOver, ...], ...]
    classes: tuple[tuple[str, ...], ...]

    def shown(self, sample: int) -> str:
        """The sample's path relative to its root, safe to show."""
        return printable(self.names[sample], SENTENCE_LENGTH)


def sample_files(found: Sequence[FoundFiles]) -> SampleFiles:
    """The files of several folders, one folder's after the other's."""
    return SampleFiles(
        roots=tuple(one.root for one in found),
        root=np.repeat(np.arange(len(found)), [len(one.files) for one in found]),
        names=tuple(str(Path(*parts)) for one in found for parts in one.parts),
        passed_over=tuple(one.passed_over for one in found),
        classes=tuple(_class_folders(one.parts) for one in found),
    )


def _class_folders(files: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Names of the folders that the files lie in; none where some lie in no folder, for those would have no class."""
    if any(len(parts) == 1 for parts in files):
        return ()
    return tuple(sorted({parts[0] for parts in files}))
