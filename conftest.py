"""What the tests of every package share: the order in which they run, and one Ray for those that only use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from latentprint.core.ray_session import session

WORKERS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, of those that cross packages before the others: what is quick fills up the end.

    Processes take files one by one (`--dist loadfile`); a long one taken last would be waited for by all others.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    across = Path(__file__).with_name("tests")
    items.sort(key=lambda item: (item.path not in slow, across not in item.path.parents))


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """One Ray with room for two workers for all tests of this process that use Ray and do not start or stop it."""
    import ray

    with session(ray, WORKERS):
        yield
