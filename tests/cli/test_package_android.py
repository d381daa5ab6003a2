"""`edgeafri package --format android`: what it prints, in words and as JSON, and what it says of what is missing."""

import json

import pytest
from click.testing import CliRunner

from edgeafri.apps import apk
from edgeafri.apps.apk import toolchain
from edgeafri.cli import cli, execute
from edgeafri.documents.package import AndroidPackage
from edgeafri.errors import MISSING_PACKAGE

MADE = AndroidPackage(
    *("01", "android", "out/edgeafri-ner-01.apk"),
    *("org.edgeafri.demo.b01", 100, "0.1.0", "Names: Hausa"),
    *("debug", 7_700_000, 3_800_000, ("too large",)),
)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An APK that costs nothing to make."""
    monkeypatch.setattr(apk, "build_apk", lambda bundle, out, step: MADE)


def test_an_app_is_named_with_its_size_and_its_key(made, tmp_path):
    """
    Two lines, the last of them the file; a warning goes beside them.
    """
    done = CliRunner().invoke(cli, ["package", str(tmp_path), "--format", "android", "--out", "out"])

    assert done.stdout.splitlines() == [
        "Names: Hausa 0.1.0: 7.7 MB, 3.8 MB of it without the bundle; signed with the debug key",
        "out/edgeafri-ner-01.apk",
    ]
    assert done.stderr == "warning: too large\n"


def test_an_app_as_json(made, tmp_path):
    """
    One flat document.
    """
    done = CliRunner().invoke(cli, ["package", str(tmp_path), "--format", "android", "--out", "out", "--json"])

    assert json.loads(done.stdout) == {
        "bundle_id": "01",
        "format": "android",
        "out": "out/edgeafri-ner-01.apk",
        "package": "org.edgeafri.demo.b01",
        "version_code": 100,
        "version_name": "0.1.0",
        "label": "Names: Hausa",
        "key": "debug",
        "bytes": 7_700_000,
        "app_bytes": 3_800_000,
        "warnings": ["too large"],
    }


def test_missing_packages_are_told_with_the_line_that_brings_them(tmp_path, monkeypatch, capsys):
    """
    And an exit code that scripts can on_event.
    """
    monkeypatch.setattr(toolchain, "_PROGRAMS", {"no-such-aapt": "aapt"})
    monkeypatch.setattr(toolchain, "_FILES", {})
    code = execute(["package", str(tmp_path), "--format", "android", "--out", str(tmp_path / "out")])

    assert code == MISSING_PACKAGE
    assert capsys.readouterr().err == (
        "error: making an APK needs no-such-aapt\n"
        "  next: Install what is missing: sudo apt-get install --no-install-recommends aapt\n"
    )
