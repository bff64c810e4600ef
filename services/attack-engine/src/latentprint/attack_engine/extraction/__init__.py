"""Extraction: signals of samples from an endpoint, planned, metered, resumable."""

from latentprint.attack_engine.extraction.cluster import ray_session
from latentprint.attack_engine.extraction.extract import Extraction, extract
from latentprint.attack_engine.extraction.plan import ExtractionPlan, SignalPlan, plan_extraction
from latentprint.attack_engine.extraction.read import Signals, read_signals
from latentprint.attack_engine.extraction.store import Taken, taken_between
from latentprint.attack_engine.extraction.table import plan_table

__all__ = [
    "Extraction",
    "ExtractionPlan",
    "SignalPlan",
    "Signals",
    "Taken",
    "extract",
    "plan_extraction",
    "plan_table",
    "ray_session",
    "read_signals",
    "taken_between",
]
