"""What somebody asks for who has an endpoint audited."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.runs.auxiliary import ShadowOptions
from latentprint.attack_engine.runs.controls import ControlEncoder, control_name
from latentprint.attack_engine.runs.fitting import cell_code
from latentprint.attack_engine.runs.layout import RESERVED
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.runs.threat_model import AuditedModel
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.checks import require, require_folder_name, require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.splits import Split
from latentprint.core.text import SENTENCE_LENGTH, printable


@dataclass(frozen=True)
class LiveAudit:
    """What a user asks for.

    Attributes:
        name: folder of the results, and MLflow's experiment.
        endpoint: the victim.
        attacks: in the report's order.
        dataset, split: the samples.
        untrained: "auto", "none", or where the untrained twin is: an endpoint, a bundle, timm:NAME; or the twin itself.
        reference: where a trained encoder is that saw none of the samples, alike, or itself; "" for none.
        seed: of every fit and bootstrap.
        asking: how the endpoint is asked.
        sweeps: what every attack is repeated with.
        fresh: forget what is kept of this endpoint first, and start anew.
        original: where the victim is that the audited suspect may be stolen from, alike; "" for none.
        auxiliary: the adversary's own samples, a folder of images or a split's file; None for none.
        shadow: how its shadow model is trained.
        fdr: of members lists, the share of false calls allowed on average.
    """

    name: str
    endpoint: EndpointSpec
    attacks: tuple[Attack, ...]
    dataset: DatasetSpec
    split: Split
    untrained: str | ControlEncoder
    seed: int
    asking: AskingOptions
    sweeps: SweepChoice = NO_SWEEPS
    fresh: bool = False
    reference: str | ControlEncoder = ""
    original: str | ControlEncoder = ""
    auxiliary: Path | None = None
    shadow: ShadowOptions = field(default_factory=ShadowOptions)
    fdr: float = FDR

    def __post_init__(self) -> None:
        require_folder_name("name", self.name, RESERVED)
        require_seed("seed", self.seed)
        require(0 < self.fdr < 1, "fdr", self.fdr, "above 0 and below 1")


def audit_key(audit: LiveAudit, victim: AuditedModel) -> str:
    """SHA-256 (hex) of all that the audit's scores depend on: `victim.facts` and what it is attacked with."""
    # An attack counts with its options and code, and without its name.
    attacks = [[attack.options, cell_code(attack)] for attack in audit.attacks]
    shadow = "" if victim.shadow is None else victim.shadow.key
    adversary = [victim.auxiliary_digest, shadow]
    choices = [audit.split.digest, audit.seed, attacks, asdict(audit.sweeps), adversary]
    return digest_json([*victim.facts, *choices])


def configuration(audit: LiveAudit) -> dict[str, object]:
    """What was asked for, as the report shows it."""
    return {
        "endpoint": audit.endpoint.url,
        "attacks": [repr(attack.signals) for attack in audit.attacks],
        "dataset": _shown(asdict(audit.dataset)),
        "split": audit.split.digest,
        "split_by": audit.split.split_by or "not stated",
        "candidates": len(audit.split.candidates),
        "fdr": audit.fdr,
        "untrained": control_name(audit.untrained),
        "reference": control_name(audit.reference) or "none",
        "victim": control_name(audit.original) or "none",
        "auxiliary": "none" if audit.auxiliary is None else printable(audit.auxiliary, SENTENCE_LENGTH),
        "seed": audit.seed,
        "effort": asdict(audit.asking),
        "sweeps": asdict(audit.sweeps),
    }


def _shown(value: object) -> object:
    """Options as they can be shown: a path may hold what is no text."""
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return printable(value, SENTENCE_LENGTH) if isinstance(value, str | Path) else value
