"""A process's page of metrics, read again and again while it runs."""

import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


def port_of(said: str) -> int:
    return int(re.search(r"metrics on http://127\.0\.0\.1:(\d+)/metrics", said)[1])


@contextmanager
def scraping(port: int, pages: list[str]) -> Iterator[None]:
    """Read the metrics every moment, as Prometheus does now and then, until nobody answers."""
    ended, first = threading.Event(), threading.Event()

    def read() -> None:
        while True:
            last = ended.is_set()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
                    pages.append(page.read().decode())
            except OSError:
                return
            first.set()
            if last:
                return
            ended.wait(0.1)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert first.wait(10)
        yield
    finally:
        ended.set()
        thread.join()
