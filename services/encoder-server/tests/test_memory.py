"""Memory that the C library keeps goes back to the system."""

import asyncio
import platform

import numpy as np

from latentprint.encoder_server.memory import hand_back_free_memory, resident_bytes, trimmer


async def test_free_memory_is_handed_back_when_it_has_grown():
    resident, trims = [100], []

    def trim():
        trims.append(resident[0])
        resident[0] = 110

    task = asyncio.create_task(hand_back_free_memory(0.01, 50, lambda: resident[0], trim))
    await asyncio.sleep(0.05)
    assert trims == []
    resident[0] = 151
    await asyncio.sleep(0.1)
    assert trims == [151]
    resident[0] = 160
    await asyncio.sleep(0.05)
    assert trims == [151]
    task.cancel()


def test_what_glibc_keeps_of_freed_memory_goes_back():
    trim = trimmer()
    assert (trim is None) == (platform.libc_ver()[0] != "glibc")
    if trim is None:
        return
    pieces = [np.ones(100_000, np.uint8) for _ in range(3000)]
    pieces = pieces[::50]  # holes between what is still held
    before = resident_bytes()
    trim()
    assert resident_bytes() < before - 150_000_000
