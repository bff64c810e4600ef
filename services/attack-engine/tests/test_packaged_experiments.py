from pathlib import Path

import pytest
from typer.testing import CliRunner

from latentprint.attack_engine.commands.run import find_experiment
from latentprint.attack_engine.runs.experiment_file import load_experiment
from latentprint.core.cli import build_app
from latentprint.core.errors import DataError, UsageError

EXPERIMENTS = Path(__file__).resolve().parents[3] / "experiments"
NAMES = sorted(path.relative_to(EXPERIMENTS).with_suffix("").as_posix() for path in EXPERIMENTS.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_of_the_repository_is_found_by_its_name_from_any_folder(name: str) -> None:
    assert find_experiment(name).read_bytes() == (EXPERIMENTS / f"{name}.yaml").read_bytes()


def test_a_file_of_the_reader_s_own_goes_before_a_packaged_experiment() -> None:
    Path("quickstart").write_text("name: mine\n")
    assert find_experiment("quickstart") == Path("quickstart")


def test_a_folder_of_the_same_name_hides_no_packaged_experiment() -> None:
    Path("quickstart").mkdir()
    assert load_experiment(find_experiment("quickstart")).name == "quickstart"


def test_a_path_stays_a_path() -> None:
    with pytest.raises(DataError, match=r"No such file: experiments/quickstart\.yaml"):
        load_experiment(find_experiment("experiments/quickstart.yaml"))


def test_an_unknown_name_gets_the_nearest_and_all_that_there_are() -> None:
    with pytest.raises(UsageError) as error:
        find_experiment("quickstrat")
    assert "Unknown experiment 'quickstrat'. Did you mean 'quickstart'? Known: " in str(error.value)
    assert all(name in str(error.value) for name in NAMES)


def test_the_command_takes_a_name() -> None:
    result = CliRunner().invoke(build_app(["run"]), ["run", "quickstart", "--scale", "huge"])
    assert isinstance(result.exception, UsageError)
    assert "huge" in str(result.exception)
