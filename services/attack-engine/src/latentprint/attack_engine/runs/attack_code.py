"""The code that scores depend on, beside the victims' own."""

ATTACK_CODE = (
    "latentprint.attack_engine.attacks",
    "latentprint.attack_engine.audits",
    "latentprint.attack_engine.evidence",
    "latentprint.attack_engine.inference",
    "latentprint.attack_engine.models",
    "latentprint.attack_engine.signals",
    "latentprint.core.views",
)
