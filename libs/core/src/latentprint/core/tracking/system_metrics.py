"""What a run takes of its machine, under the names that MLflow has for it: processors, memory and GPUs."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

from latentprint.core.errors import LatentprintError

ENABLED, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
_INTERVAL_SECONDS = 10.0
_OFF = ("false", "0")
_PERCENT, _MEGA, _MILLI = 100, 1e6, 1e3
Log = Callable[[Mapping[str, float], int], None]


@contextmanager
def system_metrics(log: Log) -> Iterator[None]:
    """Log what is taken of the machine, from time to time and once at the end, with the sample's number as step.

    `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false` has it left out; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL is in seconds.
    """
    if os.environ.get(ENABLED, "").lower() in _OFF:
        yield
        return
    meter, stop = _Meter(), Event()

    def work() -> None:
        step = 0
        while True:
            stopped = stop.wait(_interval())
            with suppress(LatentprintError):  # a disk that takes nothing: the work, which logs too, tells of it
                log(meter.read(), step)
            step += 1
            if stopped:
                return

    thread = Thread(target=work, name="latentprint-system-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Meter:
    """Reads the machine; processor time is that since the last reading."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._gpus = list(_gpus())
        psutil.cpu_percent()

    def read(self) -> dict[str, float]:
        memory = self._psutil.virtual_memory()
        found = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGA,
            "system_memory_usage_percentage": memory.used / memory.total * _PERCENT,
        }
        for number, gpu in enumerate(self._gpus):
            found |= {f"gpu_{number}_{name}": value for name, value in _of_gpu(gpu).items()}
        return {f"system/{name}": value for name, value in found.items()}


def _gpus() -> Iterator[Any]:
    """NVIDIA's GPUs, where there are any."""
    import pynvml

    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            yield pynvml.nvmlDeviceGetHandleByIndex(number)


def _of_gpu(gpu: Any) -> dict[str, float]:
    """What a GPU tells of itself; some tell less."""
    import pynvml

    found: dict[str, float] = {}
    with suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
        found["memory_usage_megabytes"] = memory.used / _MEGA
        found["memory_usage_percentage"] = memory.used / memory.total * _PERCENT
    with suppress(pynvml.NVMLError):
        found["utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
    with suppress(pynvml.NVMLError):
        found["power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(gpu) / _MILLI
    return found


def _interval() -> float:
    try:
        return max(0.1, float(os.environ.get(INTERVAL, "")))
    except ValueError:
        return _INTERVAL_SECONDS
