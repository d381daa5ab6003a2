"""Keys: a debug key that only its owner can read, a release key from the environment, no password where others look."""

import stat
from pathlib import Path

import pytest

from edgeafri.apps.apk import keys as module
from edgeafri.apps.apk.keys import ALIAS, KEYSTORE, PASSWORD, key_folder, signing_key
from edgeafri.errors import ConfigError


@pytest.fixture
def keytool(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that make a key, noted; each leaves a file that all could read."""
    called: list[list[str]] = []

    def run(*command: str) -> str:
        called.append(list(command))
        keystore = Path(command[command.index("-keystore") + 1])
        keystore.write_bytes(b"key")
        keystore.chmod(0o644)
        return ""

    monkeypatch.setattr(module, "run", run)
    return called


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keystore of the user's, named by the environment."""
    keystore = tmp_path / "release.p12"
    keystore.write_bytes(b"key")
    monkeypatch.setenv(KEYSTORE, str(keystore))
    monkeypatch.setenv(PASSWORD, "open sesame")
    return keystore


def test_a_debug_key_is_its_owners_alone(keytool, keys):
    """
    Neither the key nor its password can be read by others on the machine.
    """
    signing_key()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (keys, *keys.iterdir())}
    assert modes == {"android-debug-key": 0o700, "debug.p12": 0o600, "password": 0o600}


def test_a_debug_key_is_made_once(keytool, keys):
    """
    Android updates an app only under the key that it came with.
    """
    first, again = signing_key(), signing_key()

    assert first == again
    assert first.kind == "debug"
    assert len(keytool) == 1
    assert [path.name for path in keys.parent.iterdir()] == [keys.name]


def test_no_password_stands_in_a_command(keytool, keys, release, monkeypatch):
    """
    Others can see command lines; they hold where the password is, not what it is.
    """
    released = signing_key().options
    monkeypatch.delenv(KEYSTORE)
    debug = signing_key().options
    password = (keys / "password").read_text("utf-8").strip()

    assert released[2:] == ("--ks-pass", f"env:{PASSWORD}")
    assert debug[2:] == ("--ks-pass", f"file:{keys / 'password'}")
    assert not any(word in part for word in (password, "sesame") for part in (*released, *debug, *keytool[0]))


def test_two_machines_have_two_passwords(keytool, keys, tmp_path):
    """
    A password that everyone knows would be none.
    """
    module.debug_key(tmp_path / "one")
    module.debug_key(tmp_path / "two")

    assert (tmp_path / "one" / "password").read_text("utf-8") != (tmp_path / "two" / "password").read_text("utf-8")


def test_the_environment_names_the_release_key(release, monkeypatch):
    """
    And which of its keys, where there are several.
    """
    monkeypatch.setenv(ALIAS, "upload")

    assert signing_key().kind == "release"
    assert signing_key().options[:2] == ("--ks", str(release))
    assert signing_key().options[-2:] == ("--ks-key-alias", "upload")


def test_a_release_key_that_is_not_there(release):
    """
    Falling back to the debug key would make an APK that no store and no phone takes as an update.
    """
    release.unlink()
    with pytest.raises(ConfigError) as caught:
        signing_key()

    assert caught.value.message == f"EDGEAFRI_KEYSTORE: no such file: {release}"
    assert caught.value.hint == "Unset EDGEAFRI_KEYSTORE to sign with a debug key."


def test_a_release_key_without_its_password(release, monkeypatch):
    """
    Nobody is asked for it: a build may run where nobody sits.
    """
    monkeypatch.delenv(PASSWORD)
    with pytest.raises(ConfigError) as caught:
        signing_key()

    assert caught.value.message == "EDGEAFRI_KEYSTORE is set and EDGEAFRI_KEY_PASSWORD is not"


def test_the_debug_key_lives_with_the_users_data(tmp_path, monkeypatch):
    """
    Caches may be emptied, and a new key means to uninstall the app first.
    """
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert key_folder() == tmp_path / ".local" / "share" / "edgeafri" / "android-debug-key"
