"""Files below a folder of somebody's own: links followed, litter passed over, and all that is passed over named."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from latentprint.core.errors import DataError
from latentprint.core.text import printable

HIDDEN, LITTER = "hidden", "left there by an operating system"
NOWHERE, CIRCLE = "a link to nothing", "a link back to a folder that holds it"
AGAIN, NO_FILE = "read already under another name", "neither a file nor a folder"
_LITTER = {
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "picasa.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
Identity = tuple[int, int]  # device and inode: one file or folder, whatever path leads to it


@dataclass(frozen=True)
class PassedOver:
    """An entry of a folder that is no sample: its path relative to the root, and why it is none."""

    name: str
    reason: str


@dataclass(frozen=True)
class FoundFiles:
    """The files below a folder.

    Attributes:
        root: the folder.
        files: each below `root`, sorted by their path relative to it.
        passed_over: entries that were left out, sorted; of a folder, nothing that is in it.
        folders: every folder that was read, and a path to it.
    """

    root: Path
    files: tuple[Path, ...]
    passed_over: tuple[PassedOver, ...]
    folders: Mapping[Identity, Path]

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """The files' paths relative to the root, taken apart."""
        return tuple(path.relative_to(self.root).parts for path in self.files)


def find_files(root: Path) -> FoundFiles:
    """All files below `root`; links to files and folders are followed, and no file is taken twice because of one.

    Links are followed after everything else was read, so that what lies in `root` itself goes by its own name. One is
    passed over where it leads nowhere, back to a folder that holds it, or to what is read already. So are hidden names
    (a leading dot) and what operating systems leave behind (Thumbs.db, desktop.ini, __MACOSX and others, in any case).

    Raises:
        DataError: a folder that cannot be read, by name.
    """
    walk = _Walk(root)
    walk.read(root)
    walk.follow()
    files = sorted(walk.files, key=lambda path: path.relative_to(root).parts)
    return FoundFiles(root, tuple(files), tuple(sorted(walk.passed_over, key=lambda one: one.name)), walk.folders)


@dataclass
class _Walk:
    """What was found so far; `links` are still to be followed."""

    root: Path
    files: list[Path] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    folders: dict[Identity, Path] = field(default_factory=dict)
    links: list[Path] = field(default_factory=list)
    taken: set[Identity] = field(default_factory=set)

    def read(self, top: Path, *, by_link: bool = False) -> None:
        """Everything below `top` but what links lead to; `by_link` where a link led to it."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            for entry in _entries(folder):
                path = folder / entry.name
                reason = _unwanted(entry.name)
                if reason:
                    self._pass_over(path, reason)
                elif entry.is_symlink():
                    self.links.append(path)
                elif entry.is_dir():
                    if not self._read_already(path):
                        waiting.append(path)
                else:
                    self._take(path, entry.stat(), once=by_link)
            self.folders[_identity(folder.stat())] = folder

    def follow(self) -> None:
        """Follow the links, those of the root before those that they lead to."""
        place = 0
        while place < len(self.links):
            self._follow(self.links[place])
            place += 1

    def _follow(self, link: Path) -> None:
        try:
            facts = link.stat()
        except OSError:
            self._pass_over(link, NOWHERE)
            return
        if not stat.S_ISDIR(facts.st_mode):
            self._take(link, facts, once=True)
        elif any(place.resolve().is_relative_to(link.resolve()) for place in (self.root, link.parent)):
            self._pass_over(link, CIRCLE)
        elif not self._read_already(link):
            self.read(link, by_link=True)

    def _read_already(self, folder: Path) -> bool:
        known = _identity(folder.stat()) in self.folders
        if known:
            self._pass_over(folder, AGAIN)
        return known

    def _take(self, path: Path, facts: os.stat_result, *, once: bool) -> None:
        identity = _identity(facts)
        if not stat.S_ISREG(facts.st_mode):
            self._pass_over(path, NO_FILE)
        elif once and identity in self.taken:
            self._pass_over(path, AGAIN)
        else:
            self.files.append(path)
            self.taken.add(identity)

    def _pass_over(self, path: Path, reason: str) -> None:
        self.passed_over.append(PassedOver(str(path.relative_to(self.root)), reason))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"{printable(folder)} cannot be read ({error.strerror}), so its images would be left out: "
            "allow it to be read, or remove it."
        ) from None


def _unwanted(name: str) -> str:
    """Why an entry of this name is no sample; "" where its name does not say."""
    if name.startswith("."):
        return HIDDEN
    return LITTER if name.casefold() in _LITTER else ""


def _identity(facts: os.stat_result) -> Identity:
    return facts.st_dev, facts.st_ino
