"""The key an APK is signed with: the user's own, named by the environment, else one for trying made on this machine."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeafri.apps.apk.toolchain import run
from edgeafri.errors import ConfigError
from edgeafri.util.files import storage

KEYSTORE, PASSWORD, ALIAS = "EDGEAFRI_KEYSTORE", "EDGEAFRI_KEY_PASSWORD", "EDGEAFRI_KEY_ALIAS"


@dataclass(frozen=True)
class Key:
    """What apksigner is told of a key. No option holds a password, only where it stands."""

    kind: Literal["debug", "release"]
    options: tuple[str, ...]


def signing_key() -> Key:
    """The release key if EDGEAFRI_KEYSTORE names one, else the debug key, made at its first use."""
    return release_key(os.environ[KEYSTORE]) if os.environ.get(KEYSTORE) else debug_key(key_folder())


def release_key(keystore: str) -> Key:
    """The key in a keystore of the user; ConfigError where the file or its password is not given."""
    if not Path(keystore).is_file():
        raise ConfigError(f"{KEYSTORE}: no such file: {keystore}", f"Unset {KEYSTORE} to sign with a debug key.")
    if not os.environ.get(PASSWORD):
        raise ConfigError(f"{KEYSTORE} is set and {PASSWORD} is not", f"Set {PASSWORD} to the keystore's password.")
    alias = os.environ.get(ALIAS)
    named = ("--ks-key-alias", alias) if alias else ()
    return Key("release", ("--ks", keystore, "--ks-pass", f"env:{PASSWORD}", *named))


def debug_key(folder: Path) -> Key:
    """This machine's debug key, which only its owner can read: an app is updated only under the key it came with."""
    if not folder.is_dir():
        with storage(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _make(folder)
    return Key("debug", ("--ks", str(folder / "debug.p12"), "--ks-pass", f"file:{folder / 'password'}"))


def key_folder() -> Path:
    """Where the debug key lives: with the user's data, not with the caches, which may be emptied at any time."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data).resolve() / "edgeafri" / "android-debug-key"


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:  # its mode is 0700, and stays so
        whole = Path(scratch) / folder.name
        whole.mkdir(mode=0o700)
        password, keystore = whole / "password", whole / "debug.p12"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24) + "\n", "utf-8")
        run(*_keytool(keystore, password))
        keystore.chmod(0o600)
        if not folder.is_dir():  # another build may have been as quick, and its key is as good
            whole.replace(folder)


def _keytool(keystore: Path, password: Path) -> list[str]:
    """RSA, because its signatures are the same each time: equal content makes an equal APK."""
    values = {
        "-keystore": keystore,
        "-storetype": "PKCS12",
        "-storepass:file": password,
        "-alias": "debug",
        "-keyalg": "RSA",
        "-keysize": "3072",
        "-validity": "10000",
        "-dname": "CN=EdgeAfri debug",
    }
    return ["keytool", "-genkeypair", *(str(part) for pair in values.items() for part in pair)]
