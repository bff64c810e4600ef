"""A process that leaves torch's compiler out: it trains alike, and the compiler is there for whoever asks for it."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch

OPTIMISERS = {"Adam": {"weight_decay": 0.1}, "AdamW": {}, "SGD": {"lr": 0.1, "momentum": 0.9}}
TRAINED = """
def trained(name, options):
    weights = torch.nn.Parameter(torch.linspace(-1.0, 1.0, 6))
    first = getattr(torch.optim, name)([weights], **options)
    for step in range(4):
        optimiser = getattr(torch.optim, name)([weights], **options)
        optimiser.load_state_dict(first.state_dict())
        optimiser.zero_grad()
        (weights**3 + step * weights).sum().backward()
        optimiser.step()
        first = optimiser
    return weights.tolist()
"""
LEFT_OUT = f"""
import json, sys
from latentprint.core.uncompiled import leave_compiler_out
leave_compiler_out()
leave_compiler_out()
import torch, timm, lightly.loss, torchvision
{TRAINED}
found = {{name: trained(name, options) for name, options in json.loads(sys.argv[1]).items()}}
assert torch.is_grad_enabled()
assert "torch._dynamo" not in sys.modules
assert type(timm.__spec__.loader).__module__.startswith(("importlib", "_frozen_importlib"))
assert torch.compiler.disable(trained) is not trained
assert sys.modules["torch._dynamo.utils"].is_compile_supported("cpu") in (True, False)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2.0
print(json.dumps(found))
"""


def test_a_process_without_the_compiler_trains_alike_and_can_still_compile() -> None:
    command = [sys.executable, "-c", LEFT_OUT, json.dumps(OPTIMISERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    here: dict[str, Any] = {"torch": torch}
    exec(TRAINED, here)
    for name, weights in json.loads(done.stdout).items():
        assert weights == here["trained"](name, OPTIMISERS[name])
        assert weights != pytest.approx(torch.linspace(-1.0, 1.0, 6).tolist())
