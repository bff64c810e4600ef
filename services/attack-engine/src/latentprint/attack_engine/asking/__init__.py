"""Asking a black box: its address and card, the metered way to ask it, and the plan and workers of an extraction."""

from latentprint.attack_engine.asking.endpoint import Answers, Counts, Endpoint, EndpointCard
from latentprint.attack_engine.asking.endpoint_spec import EndpointSpec
from latentprint.attack_engine.asking.kept_answers import KeptAnswers
from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.asking.metered import MeteredEndpoint

__all__ = [
    "Answers",
    "Counts",
    "Endpoint",
    "EndpointCard",
    "EndpointSpec",
    "KeptAnswers",
    "Ledger",
    "LedgerSpec",
    "MeteredEndpoint",
]
