"""The machine: Python, cores, memory and disk."""

import os
import platform
import shutil
import sys
from pathlib import Path

from latentprint.core.commands.doctor.check import Check

_GIB = 2**30
_OLDEST_PYTHON = (3, 11)
_LITTLE_MEMORY = 4 * _GIB
_LITTLE_DISK = 5 * _GIB
_NO_DISK = _GIB // 4
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


def checks(runs: Path) -> list[Check]:
    """What the machine offers."""
    return [python(), cores(), memory(), disk(runs)]


def python() -> Check:
    """The interpreter that runs this."""
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    if sys.version_info < _OLDEST_PYTHON:
        return Check("python", "fail", found, "install Python 3.11 or later and set up again")
    return Check("python", "ok", found)


def cores() -> Check:
    """Cores this process may use, a container's quota included."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    available = min(float(allowed), cpu_quota(_CPU_QUOTA))
    found = f"{available:g}"
    if available < 2:
        return Check("cores", "warn", found, "two or more, so that a server and its audit run side by side")
    return Check("cores", "ok", found)


def cpu_quota(file: Path) -> float:
    """Cores that the control group in `file` (cgroup v2, cpu.max) grants; infinity where there is no limit."""
    if not file.is_file():
        return float("inf")
    quota, period = file.read_text(encoding="utf-8").split()
    return float("inf") if quota == "max" else float(quota) / float(period)


def memory() -> Check:
    """Memory in all and free, bytes counted in GiB, a container's limit included."""
    if not hasattr(os, "sysconf"):
        return Check("memory", "warn", "unknown on this system", "have 4 GiB free")
    page = os.sysconf("SC_PAGE_SIZE")
    total = min(page * os.sysconf("SC_PHYS_PAGES"), memory_limit(_MEMORY_LIMIT))
    free = min(total, _available(Path("/proc/meminfo"), otherwise=total))
    found = f"{free / _GIB:.1f} GiB available of {total / _GIB:.1f} GiB"
    if free < _LITTLE_MEMORY:
        return Check("memory", "warn", found, "close other programs: Ray, a server and a training want 4 GiB")
    return Check("memory", "ok", found)


def memory_limit(file: Path) -> int:
    """Bytes that the control group in `file` (cgroup v2, memory.max) grants; huge where there is no limit."""
    text = file.read_text(encoding="utf-8").strip() if file.is_file() else "max"
    return sys.maxsize if text == "max" else int(text)


def _available(meminfo: Path, otherwise: int) -> int:
    if not meminfo.is_file():
        return otherwise
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else otherwise


def disk(runs: Path) -> Check:
    """Free space where runs are written, and whether they can be."""
    place = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / _GIB:.1f} GiB free in {place}"
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check("disk", "fail", f"{place} cannot be written to", "give another folder with --runs")
    if free < _NO_DISK:
        return Check("disk", "fail", found, "free some space or give another folder with --runs")
    if free < _LITTLE_DISK:
        return Check("disk", "warn", found, "a few GiB more for bundles, answers and logs")
    return Check("disk", "ok", found)
