"""A folder and its storage: what travels, whole or not at all, and what is removed."""

from pathlib import Path

import pytest

from latentprint.core.errors import DataError, UsageError
from latentprint.core.mirror import Mirror, mirror_of, mirrored
from latentprint.core.storage import Storage

Pair = tuple[Mirror, Mirror]


@pytest.fixture
def machines(tmp_path: Path) -> Pair:
    """Two machines' folders, mirrored by one storage."""
    storage = Storage((tmp_path / "storage").as_uri())
    return Mirror(tmp_path / "one", storage), Mirror(tmp_path / "two", storage)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(".draft")
    draft.write_text(text)
    draft.replace(path)
    return path


def test_what_changes_travels_and_nothing_else(machines: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = machines
    put(one.root / "work" / "checkpoint", "first")
    put(one.root / "work" / "deep" / "losses", "[]")
    put(one.root / "aside", "not asked for")
    one.push(one.root / "work")
    two.pull(two.root / "work")
    assert {path.name for path in two.root.rglob("*") if path.is_file()} == {"checkpoint", "losses"}
    fetched: list[str] = []
    fetch = Storage.fetch
    monkeypatch.setattr(Storage, "fetch", lambda self, key, path: fetched.append(key) or fetch(self, key, path))
    put(one.root / "work" / "checkpoint", "other")  # of as many bytes
    one.push(one.root / "work")
    two.pull(two.root / "work")
    assert fetched == ["runs/work/checkpoint"]
    assert (two.root / "work" / "checkpoint").read_text() == "other"
    two.pull(two.root / "work")
    assert len(fetched) == 1


def test_two_processes_of_one_machine_do_not_bring_in_turns_what_one_of_them_wrote(
    machines: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    beside = Mirror(one.root, one.storage)
    put(one.root / "canaries" / "begun", "then")
    for process in (one, beside):
        process.push(one.root / "canaries")
    kept: list[str] = []
    keep = Storage.keep
    monkeypatch.setattr(
        Storage, "keep", lambda self, path, key, **how: kept.append(key) or keep(self, path, key, **how)
    )
    for process in (one, beside, one, beside):
        process.push(one.root / "canaries")
    assert kept == []
    put(one.root / "canaries" / "begun", "anew")
    for process in (beside, one, beside):
        process.push(one.root / "canaries")
    assert kept == ["runs/canaries/begun"]


def test_what_both_had_and_one_removed_goes_from_the_storage_and_nothing_that_it_never_saw(machines: Pair) -> None:
    one, two = machines
    put(one.root / "work" / "draft", "x")
    one.push(one.root / "work")
    put(two.root / "work" / "theirs", "y")
    two.push(two.root / "work")
    (one.root / "work" / "draft").unlink()
    one.push(one.root / "work")
    assert set(one.storage.listed("runs/work")) == {"runs/work/theirs"}


def test_a_folder_is_found_whole_or_not_at_all(machines: Pair) -> None:
    one, two = machines
    put(one.root / "bundle" / "card.json", "{}")
    put(one.root / "bundle" / "weights", "w")
    one.push(one.root / "bundle")  # as a machine that is lost while it brings its result
    assert not two.pull_whole(two.root / "bundle")
    assert not (two.root / "bundle").exists()
    one.push_whole(one.root / "bundle")
    assert two.pull_whole(two.root / "bundle")
    assert sorted(path.name for path in (two.root / "bundle").iterdir()) == ["card.json", "weights"]
    one.forget(one.root / "bundle")
    assert not Mirror(two.root.with_name("three"), two.storage).pull_whole(two.root.with_name("three") / "bundle")


def test_a_star_names_the_files_of_one_folder(machines: Pair) -> None:
    one, two = machines
    for name in ("a-1.answers", "a-2.answers", "b-1.answers"):
        put(one.root / "answers" / name, name)
    one.push(one.root / "answers" / "a-*")
    two.pull(two.root / "answers" / "*")
    assert sorted(path.name for path in (two.root / "answers").iterdir()) == ["a-1.answers", "a-2.answers"]


def test_what_is_of_one_machine_alone_stays(machines: Pair) -> None:
    one, _ = machines
    put(one.root / "ledger.sqlite", "rows")
    put(one.root / ".shard.parquet.12.ab", "half of a file")
    one.push(one.root)
    assert one.storage.listed("") == {}


def test_a_file_that_is_replaced_while_it_travels_is_brought_again(
    machines: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    path = put(one.root / "checkpoint", "old")
    find = Storage.find

    def replaced_meanwhile(self: Storage, key: str) -> object:
        put(path, "new")
        return find(self, key)

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "find", replaced_meanwhile)
        one.push(path)
    assert one.storage.read("runs/checkpoint") == b"old"
    one.push(path)
    assert one.storage.read("runs/checkpoint") == b"new"


def test_a_folder_is_mirrored_for_as_long_as_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with mirrored(Path("runs"), ""):
        assert mirror_of(Path("runs/store")) is None
    with mirrored(Path("runs"), "shared") as mirror:
        assert mirror_of(Path("runs/store")) is mirror
        assert mirror_of(tmp_path / "runs" / "store") is mirror
        assert mirror_of(Path("other")) is None
    assert mirror_of(Path("runs/store")) is None
    assert (tmp_path / "shared").exists()


@pytest.mark.parametrize("url", ["nowhere://bucket", "s3:/bucket", "s3://"])
def test_a_url_that_is_none_is_refused_with_what_to_write(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"is no storage .*write s3://BUCKET/PREFIX"), mirrored(tmp_path, url):
        pass


def test_credentials_in_a_url_are_not_shown() -> None:
    assert str(Storage("s3://me:secret@bucket/runs")) == "s3://bucket/runs"


def test_a_storage_that_cannot_be_written_to_is_told_before_anything_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(DataError, match=r"cannot be used as storage .*: check the URL"),
        mirrored(tmp_path, str(tmp_path / "file")),
    ):
        pass
