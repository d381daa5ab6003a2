"""Files: hashes that are remembered but never stale, whole writes, and clear words when a disk refuses."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from edgeafri.errors import StorageError, UsageError
from edgeafri.util import files
from edgeafri.util.files import Digests, cache_folder, json_text, make_room, sha256, storage, write_whole


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "known" / "digests.json"


@pytest.fixture
def read_from_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """
    The names of the files that are really hashed, in order.
    """
    names: list[str] = []

    def counted(path: Path) -> str:
        names.append(path.name)
        return sha256(path)

    monkeypatch.setattr(files, "sha256", counted)
    return names


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    EDGEAFRI_CACHE goes before the XDG folder, which goes before ~/.cache.
    """
    assert cache_folder() == tmp_path / "cache"

    monkeypatch.delenv("EDGEAFRI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/edgeafri")

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "edgeafri"


def test_a_hash_is_remembered_between_runs(tmp_path: Path, store: Path, read_from_disk: list[str]):
    """
    A 1 GB model is read once, not at every command.
    """
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    for _ in range(2):
        with Digests(store) as digests:
            found = digests.of(file)

    assert found == hashlib.sha256(b"weights").hexdigest()
    assert read_from_disk == ["model.bin"]


def test_a_file_is_hashed_again_when_its_time_or_size_changed(tmp_path: Path, store: Path, read_from_disk: list[str]):
    """
    Size, mtime and inode together say whether what is remembered still holds.
    """
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    with Digests(store) as digests:
        before = digests.of(file)
        file.write_bytes(b"weightZ")
        os.utime(file, ns=(1, 1))
        after = digests.of(file)

    assert before != after
    assert len(read_from_disk) == 2


def test_again_reads_from_disk_whatever_is_remembered(tmp_path: Path, store: Path):
    """
    `verify` finds a change that left size and mtime as they were.
    """
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    stat = file.stat()
    with Digests(store) as digests:
        before = digests.of(file)
        file.write_bytes(b"weightZ")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

        assert digests.of(file) == before
        assert digests.again(file) == hashlib.sha256(b"weightZ").hexdigest()


def test_a_folder_counts_by_names_and_contents(tmp_path: Path, store: Path):
    """
    The same files elsewhere have the same hash; a renamed or a changed file inside has not.
    """
    for name in ("one", "two", "renamed"):
        (tmp_path / name / "swa").mkdir(parents=True)
        file = "dev.txt" if name == "renamed" else "train.txt"
        (tmp_path / name / "swa" / file).write_text("Nairobi B-LOC\n", "utf-8")
    with Digests(store) as digests:
        one, two, renamed = (digests.of(tmp_path / name) for name in ("one", "two", "renamed"))
        (tmp_path / "two" / "swa" / "train.txt").write_text("Nairobi O\n", "utf-8")

        assert one == two != renamed
        assert digests.of(tmp_path / "two") != one


@pytest.mark.parametrize("text", ["not json", "[1, 2]", ""])
def test_a_damaged_store_costs_time_only(tmp_path: Path, store: Path, text: str):
    """
    A cache is never a reason to fail.
    """
    store.parent.mkdir()
    store.write_text(text, "utf-8")
    (tmp_path / "a").write_bytes(b"a")
    with Digests(store) as digests:
        found = digests.of(tmp_path / "a")

    assert found == hashlib.sha256(b"a").hexdigest()
    assert list(json.loads(store.read_text("utf-8"))) == [str(tmp_path / "a")]


def test_an_unwritable_store_costs_time_only(tmp_path: Path):
    """
    A read-only home, as on many a board, must not stop a run.
    """
    (tmp_path / "file").write_bytes(b"a")
    with Digests(tmp_path / "file" / "digests.json") as digests:
        found = digests.of(tmp_path / "file")

    assert found == hashlib.sha256(b"a").hexdigest()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    A reader finds the old text or the new one; nothing partial stays behind.
    """
    file = tmp_path / "report.json"
    write_whole(file, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_whole(file, "new")

    assert file.read_text("utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


def test_room_is_made_for_a_result(tmp_path: Path):
    """
    Its folders are there, it is not yet, and nothing else is left of the trial.
    """
    make_room(tmp_path / "new" / "deep" / "out.json")

    assert list((tmp_path / "new" / "deep").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "there", "/dev/null"])
def test_what_is_no_file_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """
    Told before the work, and not with its result in hand.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    with pytest.raises(UsageError, match="it is there and no file"):
        make_room(Path(name))


def test_no_room_is_told(tmp_path: Path):
    """
    A file stands where the folder should be, or the folder is one of the kernel's.
    """
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="File exists"):
        make_room(tmp_path / "file" / "out.json")
    with pytest.raises(StorageError, match=r"takes no files|not allowed"):
        make_room(Path("/proc/out.json"))


def test_json_keeps_letters_and_the_order_of_keys():
    """
    A person reads these files: ẹ stays ẹ, and what matters stands first.
    """
    assert json_text({"b": "ẹ́", "a": 1}) == '{\n "b": "ẹ́",\n "a": 1\n}\n'


@pytest.mark.parametrize(
    ("code", "reason", "hint"),
    [
        (errno.ENOSPC, "No space left on device", "Free some space, or choose another disk with --work DIR; finished"),
        (errno.EDQUOT, "Disk quota exceeded", "Free some space, or choose another disk"),
        (
            errno.EROFS,
            "Read-only file system",
            "Choose a folder you may write to, for example with --work DIR or --out FILE.",
        ),
        (errno.ENOTDIR, "Not a directory", "Choose a folder you may write to"),
        (errno.EEXIST, "File exists", "Choose a folder you may write to"),
        (errno.EACCES, "not allowed to read or write there", "Choose a folder you may write to"),
        (errno.EPERM, "not allowed to read or write there", "Choose a folder you may write to"),
    ],
)
def test_what_a_disk_refuses_is_said_with_a_next_step(code: int, reason: str, hint: str):
    """
    Full, over quota, read-only, not a folder, not allowed: each is a StorageError that names the place.
    """
    with pytest.raises(StorageError) as error, storage(Path("/disk")):
        raise OSError(code, "", "/disk/model.onnx")

    assert error.value.message == f"/disk/model.onnx: {reason}"
    assert error.value.hint.startswith(hint)
    assert error.value.exit_code == 4


def test_a_refusal_without_a_file_names_the_folder():
    """
    Some libraries lose the file name; the folder is known all the same.
    """
    with pytest.raises(StorageError, match=r"^/disk: No space left on device"), storage(Path("/disk")):
        raise OSError(errno.ENOSPC, "")


def test_other_failures_pass_through_as_they_are():
    """
    A missing file is no matter of storage; it must not be told as one.
    """
    with pytest.raises(FileNotFoundError), storage(Path("/disk")):
        raise FileNotFoundError(errno.ENOENT, "", "/disk/x")
