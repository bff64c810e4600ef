"""The code that scores depend on, beside the victims' own."""

ATTACK_CODE = (
    "leakscope.attack_engine.attacks",
    "leakscope.attack_engine.audits",
    "leakscope.attack_engine.distillation",
    "leakscope.attack_engine.references",
    "leakscope.core.views",
)
