"""At most so many images a second, where an endpoint's owner asks for it."""

import threading
import time


class Throttle:
    """Spaces requests so that no more than `images_per_second` leave on average; safe between threads."""

    def __init__(self, images_per_second: float) -> None:
        self._rate = images_per_second
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def wait(self, images: int) -> None:
        """Block until `images` more may be sent."""
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + images / self._rate
        time.sleep(max(0.0, start - time.monotonic()))
