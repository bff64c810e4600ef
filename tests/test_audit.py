"""`latentprint audit` on a live endpoint and a user's own folders."""

import json
import re
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

from latentprint.core.datasets import DatasetSpec
from latentprint.core.split_files import write_split
from latentprint.core.splits import draw_split

pytestmark = pytest.mark.slow
FOLDERS = tuple[Path, Path]
CROPS = ("--attack-option", "partcrop.crops=6")


def named(folders: FOLDERS) -> tuple[str, str, str, str]:
    return ("--members", str(folders[0]), "--non-members", str(folders[1]))


def test_an_audit_of_plain_folders_ends_in_a_report_and_is_not_asked_twice(
    latentprint: Callable[..., object],
    endpoint: str,
    image_folders: FOLDERS,
    tmp_path: Path,
    cluster: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("audit", endpoint, *named(image_folders), "--attack", "supervisedmi,partcrop", *CROPS)
    first = latentprint(*command, "--root", tmp_path)
    assert first.code == 0, first.err
    plan, asked = first.err.index("images to ask"), first.err.index("ask victim", first.err.index("images to ask"))
    assert plan < asked
    assert "720 images to ask" in first.err  # 90 samples, 1 + 7 images each
    report = Path(first.out.strip().splitlines()[-1])
    assert "untrained encoder" in report.read_text()
    findings = json.loads(report.with_name("findings.json").read_text())
    assert [audit["attack"]["name"] for audit in findings["audits"]] == ["supervisedmi", "partcrop"]
    controls = {control["name"] for audit in findings["audits"] for control in audit["controls"]}
    assert controls == {"untrained encoder", "exchanged non-members"}
    assert findings["audits"][1]["queries"]["answered"] == 630

    again = latentprint(*command, "--root", tmp_path)
    assert again.code == 0
    assert "0 images to ask" in again.err
    assert again.out == first.out  # the same audit's report is written again
    later = json.loads(report.with_name("findings.json").read_text())
    assert [a["result"]["evaluation"] for a in later["audits"]] == [
        a["result"]["evaluation"] for a in findings["audits"]
    ]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("audit")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    audits = [run for run in runs if run.data.tags.get("latentprint.kind") == "audit"]
    assert all({"auc", "auc_low", "null_auc_untrained_encoder"} <= set(run.data.metrics) for run in audits)
    artifacts = {item.path for item in client.list_artifacts(audits[0].info.run_id)}
    assert {"figures", "scores", "scores.json", "verdict.txt"} <= artifacts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)  # whose runs a table is looked for in
    table = client.load_table(experiment.experiment_id, "scores.json", [audits[0].info.run_id])
    assert list(table.columns) == ["sample_id", "member", "score"]
    assert len(table) == len(set(table["sample_id"]))
    assert set(table["member"]) == {True, False}
    assert list(table["score"]) == sorted(table["score"], reverse=True)
    assert [run.data.tags["mlflow.note.content"] for run in runs if run not in audits] == [later["verdict"]["sentence"]]


def test_a_budget_that_does_not_cover_the_audit_is_refused_before_the_first_query(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path
) -> None:
    ended = latentprint("audit", endpoint, *named(image_folders), *CROPS, "--budget", 100, "--root", tmp_path)
    assert ended.code == 5
    assert re.search(r"error: .*100", ended.err)
    assert not list(tmp_path.rglob("shard-*.parquet"))


def test_every_bad_endpoint_ends_in_one_sentence(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path
) -> None:
    class Plain(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    web = HTTPServer(("127.0.0.1", 0), Plain)
    Thread(target=web.serve_forever, daemon=True).start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
    cases = {
        f"grpc://127.0.0.1:{nobody}": (4, str(nobody)),
        f"grpc://127.0.0.1:{web.server_address[1]}": (4, str(web.server_address[1])),
        f"{endpoint}x": (4, "victimx"),
        "http://127.0.0.1:1": (2, "grpc://HOST:PORT"),
    }
    for url, (code, words) in cases.items():
        ended = latentprint("audit", url, *named(image_folders), "--side", 32, "--root", tmp_path)
        assert (ended.code, url) == (code, url)
        assert ended.err.strip().splitlines()[-1].startswith("error: ")
        assert words in ended.err
        assert "Traceback" not in ended.err
    web.shutdown()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--attack", "partcorp"], 2, "Did you mean 'partcrop'"),
        (["--attack-option", "partcrop.crop=3"], 2, "Did you mean 'crops'"),
        (["--attack-option", "variance.views=3"], 2, "not among the attacks"),
        (["--attack-option", "partcrop"], 2, "write KEY=VALUE"),
        (["--split", "nowhere.parquet"], 2, "either by --split, or by both"),
        (["--output-name", "embeding=x"], 2, "embeding"),
        (["--api-key-file", "nowhere"], 2, "nowhere"),
        (["--split-by", "coins"], 2, "Did you mean 'coin'"),
        (["--reference", "nowhere"], 2, "--reference"),
    ],
)
def test_every_bad_argument_ends_in_one_sentence(
    latentprint: Callable[..., object],
    endpoint: str,
    image_folders: FOLDERS,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    ended = latentprint("audit", endpoint, *named(image_folders), *arguments, "--root", tmp_path)
    assert ended.code == code, ended.err
    assert words in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("flag", ["--reference", "--untrained"])
def test_the_audited_encoder_itself_controls_nothing(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path, flag: str
) -> None:
    ended = latentprint("audit", endpoint, *named(image_folders), flag, endpoint, "--root", tmp_path)
    assert ended.code == 2, ended.err
    assert "is the audited one itself" in ended.err
    assert not list(tmp_path.rglob("shard-*.parquet"))


def test_bad_samples_end_in_one_sentence(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path
) -> None:
    few, text, broken = tmp_path / "few", tmp_path / "text", tmp_path / "broken"
    for folder in (few, text, broken):
        folder.mkdir()
        for path in sorted(image_folders[0].iterdir())[:8]:
            (folder / path.name).write_bytes(path.read_bytes())
    (text / "notes.txt").write_text("hello")
    (broken / "zzz.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    for folder, words in ((few, "needs at least"), (text, "notes.txt"), (broken, "zzz.jpg")):
        ended = latentprint(
            "audit", endpoint, "--members", folder, "--non-members", image_folders[1], "--root", tmp_path / "runs"
        )
        assert ended.code == 3, ended.err
        assert words in ended.err


def test_a_split_of_a_data_set_that_changed_is_refused(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in image_folders[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    spec = DatasetSpec("folder", {"path": str(folder), "side": 32})
    write_split(draw_split(spec.open(), members=20, non_members=20, source=spec), tmp_path / "split.parquet")
    next(folder.iterdir()).unlink()
    ended = latentprint("audit", endpoint, "--split", tmp_path / "split.parquet", "--root", tmp_path / "runs")
    assert ended.code == 3
    assert "drawn from a data set with digest" in ended.err


def test_a_root_that_cannot_be_written_is_named(
    latentprint: Callable[..., object], endpoint: str, image_folders: FOLDERS, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    ended = latentprint("audit", endpoint, *named(image_folders), *CROPS, "--root", tmp_path / "file")
    assert ended.code == 3
    assert "error: " in ended.err
    assert "Traceback" not in ended.err
