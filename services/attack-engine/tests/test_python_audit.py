"""The audit from Python: what a program holds, in this process."""

import gc
import json
import subprocess
import sys
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from latentprint.attack_engine import AuditResult, audit
from latentprint.attack_engine.api import drawn_anew
from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.drivers.in_memory import InMemoryModel
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.findings.serialise import from_json
from latentprint.core.errors import DataError, EndpointError, UsageError

_RNG = np.random.default_rng(3)
MEMBERS, OTHERS = (_RNG.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8) for _ in range(2))


def leaky(images):
    """Embeddings that grow with membership: the model has a list of its members."""
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    inside = np.isin(flat.sum(axis=1), MEMBERS.reshape(60, -1).astype(np.float32).sum(axis=1) / 255)
    known = np.array([any(np.array_equal(image, member) for member in MEMBERS) for image in images])
    return flat[:, :12] + 3.0 * (known | inside)[:, None]


@dataclass
class Recorded:
    """A connection that notes how many samples it is asked about at once."""

    inner: Any
    asked: list[int]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def ask(self, samples, outputs, request_id):
        self.asked.append(len(samples))
        return self.inner.ask(samples, outputs, request_id)


def innocent(images):
    return images.reshape(len(images), -1)[:, :12].astype(np.float32) / 255


def encoder():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.fixture(scope="module")
def found() -> AuditResult:
    return audit(
        leaky, MEMBERS, OTHERS, attacks=("supervisedmi",), untrained=innocent, reference=innocent, split_by="coin"
    )


def test_a_function_that_knows_its_members_is_found_out(found):
    assert found.verdict.outcome.claims
    (row,) = found.to_frame().to_dict("records")
    assert row["attack"] == "supervisedmi"
    assert row["estimate"] > 0.95
    assert "untrained" in row["controls"]
    assert "placebo" in row["controls"]
    assert row["images"] == 120
    assert repr(found).startswith("<Audit of leaky: leak found")


def test_its_samples_and_files_are_those_of_the_command_line(found, tmp_path):
    samples = found.samples()
    assert len(samples) == 120
    assert set(samples["group"]) == {"member", "non-member"}
    scores = samples.dropna(subset=["supervisedmi score"])
    means = scores.groupby("group")["supervisedmi score"].mean()
    assert means["member"] > means["non-member"]
    page = found.report(tmp_path / "report.html").read_text()
    assert "Audit of leaky" in page
    assert "Leak found in" in page
    assert from_json(found.to_json(tmp_path / "findings.json")).audits == found.findings.audits
    assert json.loads((tmp_path / "findings.json").read_text())["schema_version"]


def test_the_roc_is_drawn(found, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    axes = found.plot_roc()
    (line, chance) = axes.get_lines()
    assert line.get_label().startswith("supervisedmi: AUC 0.9") or line.get_label().endswith("1.000")
    assert chance.get_xdata()[-1] == 1
    axes.figure.savefig(tmp_path / "roc.png")


def test_a_module_that_never_saw_either_side_is_not_accused():
    module = encoder()
    inputs = [torch.from_numpy(side).permute(0, 3, 1, 2) / 255 for side in (MEMBERS, OTHERS)]
    result = audit(module, *inputs, attacks=("supervisedmi", "encodermi"), seed=4)
    assert not result.verdict.outcome.claims
    assert [finding.attack.name for finding in result.findings.audits] == ["supervisedmi", "encodermi"]
    assert all("untrained" in row for row in result.to_frame()["controls"])
    assert module.training


def test_a_missing_untrained_control_is_no_leak_found():
    result = audit(leaky, MEMBERS, OTHERS, attacks=(AttackChoice("supervisedmi"),), split_by="coin")
    assert result.verdict.outcome == "indicated"


def test_the_same_audit_twice_gives_the_same_numbers(found):
    again = audit(
        leaky, MEMBERS, OTHERS, attacks=("supervisedmi",), untrained=innocent, reference=innocent, split_by="coin"
    )
    assert again.findings.audits[0].effect == found.findings.audits[0].effect


def test_an_untrained_copy_has_other_weights_and_leaves_the_module_alone():
    module = encoder()
    before = [parameter.clone() for parameter in module.parameters()]
    copy = drawn_anew(module)
    assert all(torch.equal(one, other) for one, other in zip(module.parameters(), before, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(copy.parameters(), before, strict=True))
    module.token = nn.Parameter(torch.zeros(3))
    with pytest.raises(UsageError, match="token: no layer"):
        drawn_anew(module)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"members": "a folder"}, UsageError, "must all be folders"),
        ({"members": MEMBERS[:5]}, DataError, "known and"),
        ({"model": "ftp://nowhere"}, UsageError, "not an endpoint's address"),
        ({"attacks": ("partcrops",)}, UsageError, "partcrop"),
        ({"budget": 10}, Exception, "budget"),
        ({"attacks": ()}, UsageError, "names none"),
        ({"attacks": ("supervisedmi", "supervisedmi")}, UsageError, "twice"),
        ({"reference": leaky}, UsageError, "reference is the audited model itself"),
        ({"untrained": leaky}, UsageError, "untrained is the audited model itself"),
        ({"non_members": np.concatenate([OTHERS, MEMBERS[3:5]])}, DataError, r"members\[3\] and non_members\[60\]"),
        ({"model": None}, UsageError, "give a module"),
        ({"seed": -1}, UsageError, "seed"),
        ({"mean": (0.5,)}, UsageError, "three numbers"),
        ({"model": lambda images: (innocent(images), 0)}, EndpointError, "answered with a tuple"),
        ({"model": lambda images: {"posterior": innocent(images) * 9}, "attacks": "st"}, EndpointError, "sum to"),
    ],
)
def test_what_cannot_be_audited_is_a_sentence(given, error, message):
    arguments = {"model": leaky, "members": MEMBERS, "non_members": OTHERS, "attacks": ("supervisedmi",)} | given
    with pytest.raises(error, match=message):
        audit(**arguments)


def test_a_model_that_answers_differently_every_time_is_said_to() -> None:
    drawn = np.random.default_rng(8)

    def noisy(images):
        return innocent(images) * (drawn.random((len(images), 12)) > 0.5) + 0.01

    (finding,) = audit(noisy, MEMBERS, OTHERS, attacks="supervisedmi").findings.audits
    assert "differently from one time to the next" in finding.queries.unchecked


def test_random_numbers_and_interrupts_are_the_programs_own() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    audit(innocent, MEMBERS, OTHERS, attacks="supervisedmi")
    assert torch.equal(torch.random.get_rng_state(), before)
    asked = []

    def interrupted(images):
        asked.append(len(images))
        if len(asked) > 3:
            raise KeyboardInterrupt
        return innocent(images)

    with pytest.raises(KeyboardInterrupt):
        audit(interrupted, MEMBERS, OTHERS, attacks="supervisedmi")


def test_nothing_of_an_audit_stays_open_in_the_program() -> None:
    class Held:
        def __call__(self, images):
            return innocent(images)

    model = Held()
    gone = weakref.ref(model)
    audit(model, MEMBERS, OTHERS, attacks="supervisedmi")
    del model
    gc.collect()
    assert gone() is None


def test_a_control_that_says_how_it_is_asked_is_asked_so() -> None:
    held = EndpointSpec("python:twin", images_per_request=7, model=InMemoryModel(innocent, (8, 8, 3), name="twin"))
    asked = []
    recorded = EndpointSpec("python:twin", images_per_request=7, model=Recorded(held.model, asked))
    (finding,) = audit(leaky, MEMBERS, OTHERS, attacks="supervisedmi", untrained=recorded).findings.audits
    assert max(asked) == 7
    assert [control.name for control in finding.controls if "untrained" in control.name]


def test_neither_ray_nor_mlflow_is_loaded():
    code = (
        "import sys, numpy as np; from latentprint.attack_engine import audit; rng = np.random.default_rng(0)\n"
        "a, b = (rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8) for _ in range(2))\n"
        "audit(lambda x: x.reshape(len(x), -1)[:, :8].astype('f4'), a, b, attacks=('supervisedmi',))\n"
        "print([name for name in ('ray', 'mlflow') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert ended.stdout.strip() == "[]"
