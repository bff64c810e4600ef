"""Callers that send malformed requests to a server on this machine, and print what they were answered as JSON.

python strangers --port PORT --model NAME --max-message-bytes N
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from itertools import count
from typing import Any

import grpc
import numpy as np
from calls import CALLS
from messages import MESSAGES, Call, Target

_LEFT = "Internal error from Core"  # grpcio's own word, here, for a stream that was answered while it was written
_OPTIONS = [("grpc.enable_retries", 0), ("grpc.max_send_message_length", -1)]


KINDS = {**MESSAGES, **CALLS}


class Callers:
    """Several callers that take turns through one seeded sequence of calls, each kind as often."""

    def __init__(self, port: int, target: Target, calls: int, seed: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._target = target
        self._calls = calls
        self._seed = seed
        self._numbers = count()
        self.statuses: dict[str, Counter[str]] = defaultdict(Counter)
        self.sentences: Counter[tuple[str, str]] = Counter()

    async def run(self, callers: int) -> None:
        """Send all calls, `callers` of them in flight."""
        await asyncio.gather(*[self._call_on() for _ in range(callers)])

    async def _call_on(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            while (index := next(self._numbers)) < self._calls:
                kind = list(KINDS)[index % len(KINDS)]
                call = KINDS[kind](self._target, np.random.default_rng([self._seed, index]))
                code, sentence = await answered(channel, call)
                self.statuses[kind][code] += 1
                self.sentences[code, sentence] += 1


async def answered(channel: grpc.aio.Channel, call: Call) -> tuple[str, str]:
    """The status and the sentence that a call ends with."""
    options: dict[str, Any] = {"timeout": call.timeout, "metadata": call.metadata}
    if call.stream is None:
        sent = channel.unary_unary(call.path)(call.content, **options)
    else:
        sent = channel.stream_unary(call.path)(iter([call.content] * call.stream), **options)
    if call.cancel_after is not None:
        asyncio.get_running_loop().call_later(call.cancel_after, sent.cancel)
    try:
        await sent
    except asyncio.CancelledError:
        return "CANCELLED", ""
    except grpc.aio.AioRpcError as error:
        if call.stream is not None and error.details() == _LEFT:
            return "CANCELLED", ""
        return error.code().name, error.details() or ""
    return "OK", ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--max-message-bytes", type=int, required=True)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    target = Target(arguments.model, arguments.max_message_bytes)
    callers = Callers(arguments.port, target, arguments.calls, arguments.seed)
    started = time.monotonic()
    asyncio.run(callers.run(arguments.callers))
    seconds = time.monotonic() - started
    sentences = [[code, sentence, number] for (code, sentence), number in callers.sentences.items()]
    json.dump({"seconds": seconds, "statuses": callers.statuses, "sentences": sentences}, sys.stdout)


if __name__ == "__main__":
    main()
