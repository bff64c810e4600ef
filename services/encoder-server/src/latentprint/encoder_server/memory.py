"""Memory that was freed goes back to the system.

The C library keeps what a forward has freed, and where every forward has another shape the pieces fit no later one: a
server asked for images of ever new sizes grew by hundreds of MB, nine tenths of it free. The library hands free memory
back when told to.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

INTERVAL_SECONDS = 5.0
GROWTH_BYTES = 64 * 2**20
_STATM = Path("/proc/self/statm")


async def hand_back_free_memory(
    interval: float = INTERVAL_SECONDS,
    growth: int = GROWTH_BYTES,
    resident: Callable[[], int | None] | None = None,
    trim: Callable[[], None] | None = None,
) -> None:
    """Run until cancelled: where resident memory has grown by `growth` since the last time, hand back what is free.

    Does nothing where the C library is not glibc or the system does not say how much is resident.

    Args:
        interval: seconds between two looks.
        growth: bytes.
        resident: reads the resident bytes; None where they are not known.
        trim: hands back.
    """
    resident, trim = resident or resident_bytes, trim or trimmer()
    least = resident()
    if least is None or trim is None:
        return
    while True:
        await asyncio.sleep(interval)
        now = resident() or 0
        if now > least + growth:
            await asyncio.to_thread(trim)
            least = resident() or 0
        least = min(least, now)


def resident_bytes() -> int | None:
    """Resident memory of this process; None where the system does not say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def trimmer() -> Callable[[], None] | None:
    """Tells glibc to hand back what is free, without the interpreter's lock; None with another C library."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return lambda: malloc_trim(0)
