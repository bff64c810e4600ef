"""Asking a black box: its address and card, the metered way to ask it, and the plan and workers of an extraction."""

from latentprint.attack_engine.asking.answer_store import AnswerStore
from latentprint.attack_engine.asking.endpoint import Answers, Counts, Endpoint, EndpointCard
from latentprint.attack_engine.asking.endpoint_spec import EndpointSpec
from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.asking.metered import MeteredEndpoint

__all__ = [
    "AnswerStore",
    "Answers",
    "Counts",
    "Endpoint",
    "EndpointCard",
    "EndpointSpec",
    "Ledger",
    "LedgerSpec",
    "MeteredEndpoint",
]
