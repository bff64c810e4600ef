"""Black boxes: how an endpoint is reached, metered and remembered."""

from latentprint.attack_engine.endpoints.base import Answers, Counts, Endpoint, EndpointCard
from latentprint.attack_engine.endpoints.kept_answers import KeptAnswers
from latentprint.attack_engine.endpoints.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.endpoints.metered import MeteredEndpoint
from latentprint.attack_engine.endpoints.spec import EndpointSpec

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
