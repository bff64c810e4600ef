"""Values that make no sense, for every option of audit, run, report and serve: one sentence, and nothing is spent."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

NOBODY = "grpc://127.0.0.1:9"
LONG = "x" * 300
NUMBERS = {
    "--seed": ["-1", "4294967296"],
    "--known-fraction": ["nan", "0", "1", "-1", "inf"],
    "--workers": ["0", "-1"],
    "--in-flight": ["0", "-1"],
    "--timeout": ["nan", "0", "-1", "inf"],
    "--budget": ["-5"],
    "--knowledge": ["nan", "0", "2", "-1"],
    "--queries": ["0", "-1"],
    "--images-per-request": ["0"],
    "--images-per-second": ["nan", "0", "inf"],
    "--side": ["-1", "100000"],
    "--canaries": ["-1"],
    "--canary-every": ["0"],
    "--metrics-port": ["-1", "65536"],
}
NAMES = ["../x", "/x", "", ".", "..", "a/b", "a\\b", "store", "mlflow", "a\nb", "a\x1b[2J", " x", LONG, "\u202ex"]
AUDIT = {
    **{f"{option} {value}": [f"{option}={value}"] for option, values in NUMBERS.items() for value in values},
    **{f"--name {name[:9]!r}": [f"--name={name}"] for name in NAMES},
    "a question that nobody answers": ["--question", "[/red]"],
    "no attack": ["--attack", ","],
    "an attack twice": ["--attack", "partcrop,partcrop"],
    "markup for an attack": ["--attack", "[/red]"],
    "escapes for an attack": ["--attack", "\x1b[2J"],
    "broken YAML": ["--attack-option", "partcrop.crops=["],
    "NaN in YAML": ["--attack-option", "partcrop.crops=.nan"],
    "no key": ["--attack-option", "=x"],
    "no attack's option": ["--attack-option", "crops=3"],
    "no output": ["--output-name", "=x"],
    "markup for an inference": ["--inference", "[/red]"],
    "a folder for a key": ["--api-key-file", "/"],
    "a split and folders": ["--split", "x.parquet"],
    "no number": ["--seed", "[/red]"],
    "no option": ["--seeed", "1"],
}

OF_USERS, OF_ATTRIBUTES, OF_OWNERSHIP = (["--question", one] for one in ("users", "attributes", "ownership"))
IMITATOR = ["--attack", "seqmia", "--auxiliary", "x.parquet"]
UNUSED = {
    "--range-draws": ["--range-draws=8"],
    "--shadow-recipe": ["--shadow-recipe=mae"],
    "--shadow-epochs": ["--shadow-epochs=60"],
    "--shadow-option": [*OF_USERS, "--shadow-option=batch_size=8"],
    "--auxiliary": ["--auxiliary=x.parquet", "--attack=partcrop,encodermi"],
    "--auxiliary is not used by audits": [*OF_ATTRIBUTES, "--auxiliary=x.parquet"],
    "--auxiliary is not used by dataset-inference, view-relations, masked-reconstruction:": [
        *OF_OWNERSHIP,
        "--auxiliary=x.parquet",
    ],
    "--canary-every": ["--canaries=0", "--canary-every=1000"],
    "--attribute": ["--attribute=class"],
    "--attribute and --attack-option": [
        *OF_ATTRIBUTES,
        "--attribute=class",
        "--attack-option=attribute-inference.attribute=class",
    ],
    "--victim": [*IMITATOR, "--victim=x"],
    "--reference": [*OF_ATTRIBUTES, "--reference=x"],
    "--split-by": [*OF_ATTRIBUTES, "--split-by=coin"],
    "--fdr": [*OF_OWNERSHIP, "--fdr=0.1"],
}
UNUSED_OF_SPLITS = {"--side": ["--side=32"], "--known-fraction": ["--known-fraction=0.5"]}
UNUSED_IN_PROCESS = {
    "--output-name": ["--output-name=embedding=x"],
    "--api-key-file": ["--api-key-file=x"],
    "--timeout": ["--timeout=60", "--reference=x"],
    "--canaries": ["--canaries=2"],
    "--in-flight": ["--in-flight=1"],
}


def refused(ended: Any, code: int) -> None:
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.err
    assert "\x1b[2J" not in ended.err
    if "Usage: " not in ended.err:  # the parser's own words
        assert ended.err.strip().splitlines()[-1].startswith("error: "), ended.err
        assert ended.err.count("error: ") == 1
    assert ended.out == ""


@pytest.fixture
def samples(tmp_path: Path) -> list[str]:
    for name in ("members", "others"):
        (tmp_path / name).mkdir()
    return ["--members", str(tmp_path / "members"), "--non-members", str(tmp_path / "others")]


@pytest.mark.parametrize("arguments", AUDIT.values(), ids=AUDIT)
def test_audit_refuses(
    latentprint: Callable[..., Any], tmp_path: Path, samples: list[str], arguments: list[str]
) -> None:
    refused(latentprint("audit", NOBODY, *samples, "--root", tmp_path / "runs", *arguments), 2)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("option", "arguments"), UNUSED.items(), ids=UNUSED)
def test_audit_refuses_what_it_would_not_use(
    latentprint: Callable[..., Any], tmp_path: Path, samples: list[str], option: str, arguments: list[str]
) -> None:
    ended = latentprint("audit", NOBODY, *samples, "--root", tmp_path / "runs", *arguments)
    refused(ended, 2)
    assert ended.err.startswith(f"error: {option} ")


@pytest.mark.parametrize(("option", "arguments"), UNUSED_OF_SPLITS.items(), ids=UNUSED_OF_SPLITS)
def test_audit_refuses_what_a_split_says_itself(
    latentprint: Callable[..., Any], option: str, arguments: list[str]
) -> None:
    ended = latentprint("audit", NOBODY, "--split", "x.parquet", *arguments)
    refused(ended, 2)
    assert ended.err.startswith(f"error: {option} is of folders")


@pytest.mark.parametrize(("option", "arguments"), UNUSED_IN_PROCESS.items(), ids=UNUSED_IN_PROCESS)
def test_audit_refuses_what_only_a_server_needs(
    latentprint: Callable[..., Any], samples: list[str], option: str, arguments: list[str]
) -> None:
    ended = latentprint("audit", "local:nowhere", *samples, *arguments)
    refused(ended, 2)
    assert ended.err.startswith(f"error: {option} is of a server")


def test_a_server_beside_an_encoder_in_this_process_is_asked_as_the_options_say(
    latentprint: Callable[..., Any], samples: list[str]
) -> None:
    ended = latentprint("audit", "local:nowhere", *samples, "--in-flight=1", f"--reference={NOBODY}", "--side=32")
    refused(ended, 3)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--data", "digits", "--side=32"], "--side"),
        (["--images", "x", "--data-option=count=2"], "--data-option"),
        (["--split", "x", "--side=32"], "--side"),
    ],
)
def test_steal_refuses_what_it_would_not_use(
    latentprint: Callable[..., Any], tmp_path: Path, arguments: list[str], option: str
) -> None:
    ended = latentprint("steal", NOBODY, "--out", tmp_path / "copy", *arguments)
    refused(ended, 2)
    assert ended.err.startswith(f"error: {option} is of ")


@pytest.mark.parametrize("url", ["", "grpc://[", "grpc://h:0", "grpc://h:99999", "[/red]", "\x1b[2J", "http://h:1"])
def test_audit_refuses_an_address(
    latentprint: Callable[..., Any], tmp_path: Path, samples: list[str], url: str
) -> None:
    refused(latentprint("audit", url, *samples, "--root", tmp_path / "runs"), 2)


@pytest.mark.parametrize("root", ["file", "file/below", LONG])
def test_a_root_that_is_no_folder_is_refused_before_the_endpoint_is_asked(
    latentprint: Callable[..., Any], tmp_path: Path, image_folders: tuple[Path, Path], root: str
) -> None:
    (tmp_path / "file").write_text("")
    folders = ["--members", image_folders[0], "--non-members", image_folders[1], "--side", 32]
    ended = latentprint("audit", NOBODY, *folders, "--root", tmp_path / root)
    refused(ended, 3)
    assert "--root" in ended.err


GOOD = {
    "name": "trial",
    "datasets": {"d": {"name": "composites", "options": {"count": 200}}},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 80}},
    "victims": [{"name": "mae", "recipe": "mae", "split": "s", "epochs": 3}],
    "attacks": [{"name": "partcrop"}],
}
RUN: dict[str, tuple[tuple[str | int, ...], Any]] = {
    **{f"name {name[:9]!r}": (("name",), name) for name in NAMES},
    "name a number": (("name",), 3),
    "seed": (("seed",), -1),
    "seed too large": (("seed",), 2**32),
    "workers": (("workers",), 0),
    "trainings": (("trainings",), 0),
    "training_workers": (("training_workers",), 0),
    "budget": (("budget",), -5),
    "knowledge": (("sweeps",), {"knowledge": [float("nan")]}),
    "knowledge above": (("sweeps",), {"knowledge": [0.9]}),
    "queries": (("sweeps",), {"queries": [0]}),
    "known_fraction nan": (("splits", "s", "known_fraction"), float("nan")),
    "known_fraction 1": (("splits", "s", "known_fraction"), 1),
    "known_fraction -1": (("splits", "s", "known_fraction"), -1),
    "members": (("splits", "s", "members"), 0),
    "split's seed": (("splits", "s", "seed"), -1),
    "distillation": (("splits", "s", "distillation"), -1),
    "epochs": (("victims", 0, "epochs"), 0),
    "victim's seed": (("victims", 0, "seed"), -1),
    "no victims": (("victims",), []),
    "no attacks": (("attacks",), []),
    "attacks a word": (("attacks",), "[/red]"),
    "an unknown attack": (("attacks", 0, "name"), "[/red]\x1b[2J"),
    "an unknown data set": (("splits", "s", "dataset"), "[/red]"),
    "datasets a list": (("datasets",), [1]),
    "scales a list": (("scales",), [1]),
    "a scale that is a number": (("scales",), {"small": 3}),
    "scales by number": (("scales",), {1: {"seed": -1}}),
    "a scale's name": (("scales",), {"../x": {}}),
    "a name that is a list": (("scales",), {"small": {"victims": [{"name": [1]}]}}),
    "an unknown key": (("[/red]\x1b[2J",), 1),
}


@pytest.mark.parametrize(("place", "value"), RUN.values(), ids=RUN)
def test_run_refuses(latentprint: Callable[..., Any], tmp_path: Path, place: tuple[str | int, ...], value: Any) -> None:
    content = yaml.safe_load(yaml.safe_dump(GOOD))
    *path, last = place
    inner = content
    for key in path:
        inner = inner[key]
    inner[last] = value
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(content))
    refused(latentprint("run", tmp_path / "trial.yaml", "--root", tmp_path / "runs"), 2)
    assert not (tmp_path / "runs").exists()


BROKEN = {
    "an open bracket": b"a: [1",
    "no text": b"\xff\xfe\x00\x01",
    "NUL": b"a: \0",
    "a list": b"- 1",
    "nothing": b"",
    "an object": b"!!python/object/apply:os.system ['true']",
    "deep": b"[" * 5000,
    "an alias to nothing": b"a: *b",
    "a list for a key": b"? [a]\n: b",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_run_refuses_a_file_that_is_no_experiment(
    latentprint: Callable[..., Any], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "trial.yaml").write_bytes(content)
    refused(latentprint("run", tmp_path / "trial.yaml", "--root", tmp_path / "runs"), 3)
    refused(latentprint("run", tmp_path, "--root", tmp_path / "runs"), 3)


@pytest.mark.parametrize("content", [*BROKEN.values(), b"{}", b"NaN", b'{"audits": [NaN]}', b'"[/red]"'])
def test_report_refuses_what_holds_no_findings(latentprint: Callable[..., Any], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "findings.json").write_bytes(content)
    refused(latentprint("report", tmp_path / "findings.json"), 3)


def test_report_refuses_places_that_are_none(latentprint: Callable[..., Any], tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "[/red]\x1b[2J", tmp_path / LONG):
        refused(latentprint("report", place), 3)


SERVE = {
    "--port": ["-1", "70000"],
    "--metrics-port": ["-1", "70000"],
    "--max-batch": ["0", "-1"],
    "--max-delay-ms": ["nan", "-1", "inf"],
    "--threads": ["-1"],
    "--precision": ["[/red]"],
    "--device": ["[/red]", "cuda:99", ""],
    "--settle-seconds": ["nan", "-1", "inf"],
    "--grace-seconds": ["nan", "-1", "inf"],
    "--max-connection-age": ["nan", "0", "inf"],
    "--max-connection-age-grace": ["5"],
    "--max-images-per-request": ["0"],
    "--max-message-bytes": ["0"],
    "--max-queued-images": ["0"],
    "--max-side": ["0"],
    "--replay-bytes": ["0"],
    "--outputs": ["[/red]"],
    "--weights": ["[/red]"],
    "--seed": ["-1", "99999999999999999999"],
    "--model-arg": ["x", "img_size=[", "img_size=.nan", "no_such=1"],
    "--host": ["nowhere.invalid"],
    "--service": [""],
    "--name": ["", "a\nb", "a/b", " "],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in SERVE.items() for value in values])
def test_serve_refuses(latentprint: Callable[..., Any], option: str, value: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # nothing that is wrongly let through can serve
        port = taken.getsockname()[1]
        ended = latentprint("serve", "timm:resnet18", "--weights=random", f"--port={port}", f"{option}={value}")
    refused(ended, 2)
    assert str(port) not in ended.err or option == "--host"


@pytest.mark.parametrize(
    ("source", "code"), [("", 3), ("timm:", 2), ("timm:../x", 2), ("nowhere", 3), ("timm:[/red]", 2)]
)
def test_serve_refuses_a_source(latentprint: Callable[..., Any], source: str, code: int) -> None:
    refused(latentprint("serve", source, "--port=0"), code)


@pytest.mark.parametrize(
    ("source", "option", "arguments"),
    [
        ("nowhere", "--weights", ["--weights=random"]),
        ("nowhere", "--seed", ["--seed=0"]),
        ("timm:resnet18", "--seed", ["--seed=0"]),
        ("timm:resnet18", "--obfuscate-seed", ["--obfuscate-seed=0"]),
    ],
)
def test_serve_refuses_what_it_would_not_use(
    latentprint: Callable[..., Any], source: str, option: str, arguments: list[str]
) -> None:
    ended = latentprint("serve", source, "--port=0", *arguments)
    refused(ended, 2)
    assert ended.err.splitlines()[-1].startswith(f"error: {option} is of ")


def test_serve_refuses_a_key_file_that_is_not_there(latentprint: Callable[..., Any]) -> None:
    refused(latentprint("serve", "timm:resnet18", "--weights=random", "--port=0", "--api-key-file=nowhere"), 3)
