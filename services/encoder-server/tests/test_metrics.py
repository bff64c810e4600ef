import asyncio
import time
import urllib.request
from importlib.metadata import version

import pytest

from latentprint.core.errors import UsageError


async def test_metrics_are_served_over_http(serve, images):
    running = await serve(listening={"metrics_port": 0})
    await running.infer(images(3, 16), ["embedding", "feature_map"])
    await running.infer(images(2, 32))
    with urllib.request.urlopen(f"http://127.0.0.1:{running.server.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    lines = text.splitlines()
    assert 'latentprint_answered_images_total{outputs="embedding+feature_map",size="16x16"} 3.0' in lines
    assert 'latentprint_answered_images_total{outputs="embedding",size="32x32"} 2.0' in lines
    assert 'latentprint_requests_total{code="OK",method="ModelInfer"} 2.0' in lines
    assert "latentprint_queued_images 0.0" in lines
    assert any(line.startswith("latentprint_batch_images_bucket") for line in lines)
    assert any(line.startswith("latentprint_request_seconds_bucket") for line in lines)
    assert f'latentprint_model_info{{model="victim",version="{version("latentprint-encoder-server")}",' in text
    assert "latentprint_queue_limit_images 8192.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


async def test_the_time_that_requests_wait_for_a_device_is_told(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    before = running.count("latentprint_queue_seconds_count")
    brake.hold()
    under_way = [asyncio.create_task(running.infer(images(1)))]
    await brake.wait()
    under_way += [asyncio.create_task(running.infer(images(1))) for _ in range(2)]
    await asyncio.sleep(0.5)
    brake.release()
    await asyncio.gather(*under_way)
    assert running.count("latentprint_queue_seconds_count") - before == 3
    assert 0.8 < running.count("latentprint_queue_seconds_sum") < 5


async def test_the_time_of_a_forward_is_told(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    before = running.count("latentprint_forward_seconds_sum")
    brake.hold()
    started = time.monotonic()
    under_way = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    await asyncio.sleep(0.5)
    brake.release()
    await under_way
    assert 0.5 <= running.count("latentprint_forward_seconds_sum") - before <= time.monotonic() - started


async def test_refusals_are_counted_by_reason(serve, images, refusal):
    running = await serve(limits={"max_images_per_request": 4})
    await refusal(running.infer(images(5)))
    await refusal(running.infer(images(1), ["no-such-output"]))
    assert running.count("latentprint_refusals_total", method="ModelInfer", reason="too_many_images") == 1
    assert running.count("latentprint_refusals_total", reason="invalid") == 1
    assert running.count("latentprint_refusals_total") == 2


async def test_a_server_that_drains_is_not_ready(serve):
    running = await serve()
    assert running.count("latentprint_ready") == 1
    await running.server.drain()
    assert running.count("latentprint_ready") == 0


async def test_two_servers_in_a_process_count_apart(serve, images):
    one, two = await serve(), await serve()
    await one.infer(images(3))
    assert one.count("latentprint_answered_images_total") == 3
    assert two.count("latentprint_answered_images_total") == 0


async def test_a_metrics_port_in_use_says_so(serve):
    running = await serve(listening={"metrics_port": 0})
    with pytest.raises(UsageError, match=r"metrics port \d+ .* cannot be used"):
        await serve(listening={"metrics_port": running.server.metrics_port})
