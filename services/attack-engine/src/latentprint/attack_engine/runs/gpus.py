"""How GPUs are shared by what runs side by side."""

import ray


def gpu_share(side_by_side: int) -> float:
    """GPUs for each of so many tasks of the connected Ray cluster: at most one, often a part of one."""
    gpus: float = ray.cluster_resources().get("GPU", 0.0)
    return min(1.0, gpus / side_by_side)
