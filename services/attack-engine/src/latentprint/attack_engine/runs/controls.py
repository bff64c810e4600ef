"""Encoders to set beside a victim: its untrained twin, or a trained one that saw none of the audited samples.

`untrained_control` and `named_control` say which; `opened_control` makes it an endpoint to be asked as the victim is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.drivers import DRIVERS, named_driver
from latentprint.attack_engine.asking.server_process import starting_server
from latentprint.attack_engine.evidence.controls import CONTROLS, ORIGINAL, PLACEBO, UNTRAINED
from latentprint.attack_engine.models.victim import TWIN_SEED
from latentprint.attack_engine.scheduling.workers import HERE
from latentprint.core.bundles import read_card, read_config, save_twin
from latentprint.core.digests import digest_json
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import names
from latentprint.core.samples import Size, written
from latentprint.core.text import printable
from latentprint.trainer import RECIPES

AUTO, NONE = "auto", "none"
_TIMM, _LOCAL = "timm:", "local:"

Weights = Literal["random", "hub"]


@dataclass(frozen=True)
class ControlEncoder:
    """An encoder to set beside a victim, before it is opened.

    Attributes:
        source: an endpoint's address, a bundle's folder or timm:NAME.
        options: of `latentprint serve`, for one that has to be served first.
        otherwise: what a user can do where it cannot be served.
        endpoint: how it is asked, where the program that audits says so; `source` is then what reports call it.
        twin_of: the bundle that it has the architecture of, where that is here; it needs no server then.
    """

    source: str
    options: tuple[str, ...] = ()
    otherwise: str = ""
    endpoint: EndpointSpec | None = None
    twin_of: Path | None = None

    @property
    def is_remote(self) -> bool:
        """Whether somebody serves it already."""
        driver = named_driver(self.source)
        return driver is not None and not driver.in_process


def named_control(text: str, flag: str, *, weights: Weights, side: Size | None = None) -> ControlEncoder:
    """The control that a user names.

    Args:
        text: an endpoint's address, a bundle's folder or timm:NAME.
        flag: the option that it came from, for the message.
        weights: of timm:NAME: "random" for an untrained encoder, "hub" for a trained one.
        side: of the audited images, pixels; a timm model that takes one size only is made for it. None for vectors.

    Raises:
        UsageError: `text` is none of these.
    """
    if text.startswith(_TIMM):
        return ControlEncoder(text, (*_weights(weights), *_image_size(side)))
    if "://" in text or named_driver(text) is not None:
        EndpointSpec(text)
        return ControlEncoder(text)
    if not text or not Path(text).is_dir():
        forms = ", ".join(entry.value.form for entry in DRIVERS)
        raise UsageError(
            f"{flag} {printable(text)!r} is neither a folder nor anything else to ask: give {forms}, a bundle's folder "
            "or timm:NAME."
        )
    return ControlEncoder(text)


def control_identity(control: ControlEncoder | None, endpoint: EndpointSpec) -> str:
    """What the control's answers depend on: the encoder itself where it can be looked at, not the name it goes by.

    Args:
        control: what is set beside the victim; None for nothing, which is "".
        endpoint: the victim's, for how a control is asked that somebody serves.

    Raises:
        DataError: a bundle that is damaged.
        EndpointError: an endpoint that does not answer.
    """
    if control is None:
        return ""
    if control.endpoint is not None or (named_driver(control.source) and not control.source.startswith(_LOCAL)):
        with (control.endpoint or endpoint.like(control.source)).open() as opened:
            return opened.card.identity
    folder = Path(control.source.removeprefix(_LOCAL))
    if folder.is_dir():
        bundled = read_card(folder)
        return digest_json([bundled.weights_digest, bundled.mean, bundled.std, read_config(folder)])
    return digest_json([control.source, control.options])


def described_controls(untrained: str, reference: str, original: str = "") -> Mapping[str, str]:
    """What each null control of a live audit is, for the report: no more than is known of what the user named."""
    named = {}
    if untrained not in (AUTO, NONE):
        named[UNTRAINED] = (
            f"the same attack on the same samples against {printable(untrained)}, which was named as an untrained "
            "encoder; whether it is one, and of the victim's architecture, was not checked"
        )
    if reference:
        named[PLACEBO] = (
            f"the same attack on the same samples against {printable(reference)}, which was named as a trained encoder "
            "that saw neither members nor non-members; that was not checked"
        )
    if original:
        named[ORIGINAL] = (
            f"the same attack on the same samples against {printable(original)}, which was named as the victim "
            "that was trained on the private images: a test that does not flag it can tell nothing"
        )
    return {**CONTROLS, **named}


def _require_untrained(text: str, flag: str) -> None:
    """Raise `UsageError` for a bundle whose card says that it was trained."""
    folder = Path(text.removeprefix(_LOCAL))
    if text.startswith(_TIMM) or not folder.is_dir():
        return
    recipe = read_card(folder).recipe
    if recipe in RECIPES.names():
        raise UsageError(
            f"{flag} {printable(text)}: this bundle was trained ({recipe}), so that it is no untrained encoder. Name "
            "one, or give this as --reference if it saw none of the samples."
        )


def untrained_control(
    text: str | ControlEncoder, card: EndpointCard, *, flag: str = "--untrained", side: Size | None
) -> ControlEncoder | None:
    """The untrained twin of the victim with this card, from what a user says of it.

    Args:
        text: "auto" for what the card says, "none", what `named_control` takes, or the control itself.
        card: the victim's.
        flag: the option that `text` came from.
        side: of the audited images, pixels; None for vectors.

    Returns:
        None for "none", and for "auto" where the card names no architecture that there is.

    Raises:
        UsageError: see `named_control`.
        EndpointError: the card describes its architecture in a way that cannot be read.
    """
    if isinstance(text, ControlEncoder):
        return text
    if text == NONE:
        return None
    if text != AUTO:
        _require_untrained(text, flag)
        return named_control(text, flag, weights="random", side=side)
    import timm  # here and not above: only who has to look for an architecture waits for it

    from latentprint.core import architectures

    architectures.register()
    if not timm.is_model(card.architecture):
        return None
    arguments = [f"--model-arg={key}={json.dumps(value)}" for key, value in model_arguments(card).items()]
    otherwise = f" Name another with {flag}, or leave it out with {flag} none."
    inputs = [*_image_size(card.image_side or side), *_normalisation(card), *_obfuscation(card)]
    bundle = Path(card.url.removeprefix(_LOCAL)) if card.url.startswith(_LOCAL) else None
    options = (*_weights("random"), *inputs, *arguments)
    return ControlEncoder(f"{_TIMM}{card.architecture}", options, otherwise, twin_of=bundle)


@contextmanager
def opened_control(
    control: ControlEncoder, victim: EndpointSpec, *, name: str, host: str = HERE
) -> Iterator[EndpointSpec]:
    """The control as an endpoint, served under `name` from a process of its own, at `host`, where nobody serves it yet.

    The twin of a bundle that is asked in this process is one too, with the weights that its server would draw.
    Somebody's server is reached and asked as the victim is: with its key, output names, timeouts and rate. What
    latentprint serves itself gets neither key nor names, nor is its rate limited.

    Raises:
        EndpointError: it cannot be served, with the last words of its server.
    """
    if control.endpoint is not None:
        yield control.endpoint
    elif control.is_remote:
        yield victim.like(control.source)
    elif control.twin_of is not None:
        with TemporaryDirectory(prefix="latentprint-twin-") as folder:
            twin = Path(folder) / name
            save_twin(control.twin_of, twin, TWIN_SEED)
            yield _ours(victim, f"{_LOCAL}{twin}")
    elif named_driver(control.source) is not None:
        yield _ours(victim, control.source)
    else:
        with ExitStack() as stack:
            try:
                process = stack.enter_context(
                    starting_server({name: control.source}, options=control.options, host=host)
                )
                process.wait()
            except EndpointError as error:
                raise EndpointError(f"{error}{control.otherwise}") from None
            (served,) = process.endpoints
            yield replace(_ours(victim, served.url), api_key_file=served.api_key_file)


def _ours(victim: EndpointSpec, url: str) -> EndpointSpec:
    return replace(victim.like(url, ours=True), images_per_second=None)


def _obfuscation(card: EndpointCard) -> Sequence[str]:
    """What the victim's server does to answers and says so, done to the twin's too."""
    steps = card.properties.get(names.OBFUSCATION, "").split(",")
    return [f"--obfuscate={step}" for step in steps if step]


def control_name(control: str | ControlEncoder) -> str:
    """What a control that was given is called."""
    return control if isinstance(control, str) else control.source


def _weights(weights: Weights) -> Sequence[str]:
    return ["--weights", weights, *(["--seed", str(TWIN_SEED)] if weights == "random" else [])]


def _image_size(side: Size | None) -> Sequence[str]:
    return [] if side is None else ["--image-size", written(side)]


def _normalisation(card: EndpointCard) -> Sequence[str]:
    """Means and deviations that the card publishes; the architecture's own where it publishes none."""
    return [f"--{name}={card.properties[name]}" for name in (names.MEAN, names.STD) if card.properties.get(name)]


def model_arguments(card: EndpointCard) -> dict[str, object]:
    """Keyword arguments of the architecture on a card. Raises `EndpointError` where they cannot be read."""
    published = card.properties.get(names.MODEL_ARGS) or "{}"
    try:
        arguments = json.loads(published)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        shown = printable(published)
        raise EndpointError(f"{card.url} publishes {names.MODEL_ARGS} as {shown!r}, which is no JSON object.")
    return arguments
