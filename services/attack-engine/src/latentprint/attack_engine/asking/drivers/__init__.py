"""Drivers by the scheme of an endpoint's address. Adding one: its file, its test, one entry here."""

from latentprint.attack_engine.asking.drivers.driver import Driver
from latentprint.attack_engine.asking.drivers.grpc import GrpcDriver, SecureGrpcDriver
from latentprint.attack_engine.asking.drivers.local import LocalDriver
from latentprint.core.errors import UsageError
from latentprint.core.registry import Registry

DRIVERS: Registry[type[Driver]] = Registry("scheme of an endpoint's address")

_PROTOCOL = "Open Inference Protocol v2"

DRIVERS.add(
    "grpc",
    GrpcDriver,
    summary="a server that speaks the protocol over gRPC: latentprint serve, Triton, MLServer, KServe",
    source=_PROTOCOL,
    needs={"address": GrpcDriver.form},
)
DRIVERS.add(
    "grpcs",
    SecureGrpcDriver,
    summary="such a server over TLS",
    source=_PROTOCOL,
    needs={"address": SecureGrpcDriver.form},
)
DRIVERS.add(
    "local",
    LocalDriver,
    summary="a victim's bundle, answered in this process",
    source="latentprint",
    needs={"address": LocalDriver.form},
)


def named_driver(text: str) -> type[Driver] | None:
    """The driver whose scheme `text` begins with, the rest unchecked; None for a text without a known scheme."""
    scheme, colon, _ = text.partition(":")
    return DRIVERS.get(scheme) if colon and scheme in DRIVERS.names() else None


def driver_of(url: str) -> type[Driver]:
    """The driver that an address asks for, the address checked. Raises `UsageError` saying which forms there are."""
    driver = named_driver(url)
    if driver is None:
        forms = [entry.value.form for entry in DRIVERS]
        raise UsageError(f"{url!r} is not an endpoint's address: use {', '.join(forms[:-1])} or {forms[-1]}.")
    driver.check_address(url)
    return driver
