"""From a page to an APK: signed, aligned, without a permission, the same bytes each time."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from edgeafri.apps.apk import build
from edgeafri.apps.apk.build import aapt_arguments, app_bytes, build_apk, javac_options, pack, verify
from edgeafri.apps.apk.keys import KEYSTORE, PASSWORD
from edgeafri.apps.apk.toolchain import Toolchain
from edgeafri.errors import ArtifactError, ConfigError, UsageError, WorkerError

TOOLS = Toolchain(Path("dx.jar"), Path("android.jar"), Path("framework.apk"))
BADGING = """package: name='{package}' versionCode='10203' versionName='1.2.3' compileSdkVersion='29'
sdkVersion:'{sdk}'
targetSdkVersion:'36'
application-label:'Names: Hausa, Ghomala'
application-label-fr:'Names: Hausa, Ghomala'
"""


def said(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def badging(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What aapt says of an APK, to be changed by a test; nothing else complains."""
    text = {"said": BADGING.format(package="org.edgeafri.demo.b0123456789abcdef", sdk=26)}
    monkeypatch.setattr(build, "run", lambda *command: text["said"])
    return text


def test_the_identity_goes_over_the_manifests(named):
    """
    One manifest serves every bundle.
    """
    words = [str(word) for word in aapt_arguments(Path("m.xml"), Path("res"), Path("made"), named, TOOLS)]

    assert words[:3] == ["package", "-f", "-m"]
    assert dict(zip(words[3::2], words[4::2], strict=True)) == {
        "-M": "m.xml",
        "-S": "res",
        "-J": "made",
        "-I": "framework.apk",
        "--rename-manifest-package": "org.edgeafri.demo.b0123456789abcdef",
        "--version-code": "10203",
        "--version-name": "1.2.3",
        "--min-sdk-version": "26",
        "--target-sdk-version": "36",
    }


def test_the_compiler_sees_androids_classes_alone():
    """
    What only this machine's Java has would be missing on the phone.
    """
    options = [str(word) for word in javac_options(TOOLS)]

    assert options[options.index("-bootclasspath") + 1] == "android.jar"
    assert options[options.index("-classpath") + 1] == ""
    assert options[:4] == ["-source", "8", "-target", "8"]


def test_what_came_out_is_what_was_meant(badging, named):
    """
    Silence is the answer to an APK that is right.
    """
    verify(Path("a.apk"), named)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("uses-permission: name='android.permission.INTERNET'", "uses-permission: name='android.permission.INTERNET'"),
        ("uses-permission-sdk-23: name='x'", "uses-permission-sdk-23: name='x'"),
    ],
)
def test_an_app_that_asks_for_a_permission_is_not_handed_out(badging, named, line, wrong):
    """
    It reads what people type, so it must not be able to send it.
    """
    badging["said"] += line + "\n"
    with pytest.raises(WorkerError) as caught:
        verify(Path("a.apk"), named)

    assert caught.value.message == f"the APK is not what it should be: {wrong}"


def test_another_app_than_was_meant_is_not_handed_out(badging, named):
    """
    aapt leaves out what it does not understand.
    """
    badging["said"] = BADGING.format(package="org.other", sdk=21)
    with pytest.raises(WorkerError) as caught:
        verify(Path("a.apk"), named)

    assert caught.value.message == "the APK is not what it should be: package: name org.other; sdkVersion: 21"


def test_a_bundle_gets_no_app_inside(tmp_path, monkeypatch):
    """
    What is sealed stays as it is.
    """
    monkeypatch.setattr(build, "toolchain", lambda step: TOOLS)
    with pytest.raises(UsageError, match="lies inside the bundle") as caught:
        build_apk(tmp_path / "bundle", tmp_path / "bundle" / "app")

    assert "--out" in caught.value.hint


def test_a_bundle_that_was_changed_makes_no_app(bundle, tmp_path, monkeypatch):
    """
    Its hashes are looked at before anything is made.
    """
    monkeypatch.setattr(build, "toolchain", lambda step: TOOLS)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    text = (copy / "tokenizer.json").read_text("utf-8")
    (copy / "tokenizer.json").write_text(text.replace("▁", "_", 1).ljust(len(text)), "utf-8")
    with pytest.raises(ArtifactError) as caught:
        build_apk(copy, tmp_path / "out")

    assert str(copy / "tokenizer.json") in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_apk_is_signed_and_aligned(apk):
    """
    With the schemes that Android 8 and newer read; all bytes of it are under the signature.
    """
    signatures = said("apksigner", "verify", "--verbose", "--min-sdk-version", "26", apk)
    said("zipalign", "-c", "-p", "4", apk)

    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in signatures
    assert "Verified using v3 scheme (APK Signature Scheme v3): true" in signatures
    assert "Number of signers: 1" in signatures


@pytest.mark.slow
def test_an_apk_asks_for_nothing(apk):
    """
    It runs from Android 8 on, is made for Android 16, and has no permission, the internet's least of all.
    """
    badging = said("aapt", "dump", "badging", apk)
    permissions = said("aapt", "dump", "permissions", apk)

    assert re.search(r"^package: name='org\.edgeafri\.demo\.b0123456789abcdef' versionCode='10203'", badging)
    assert "sdkVersion:'26'" in badging
    assert "targetSdkVersion:'36'" in badging
    assert "launchable-activity: name='org.edgeafri.demo.MainActivity'" in badging
    assert permissions.splitlines() == ["package: org.edgeafri.demo.b0123456789abcdef"]


@pytest.mark.slow
def test_only_our_own_classes_are_packed(apk):
    """
    What stands in for classes of newer Androids is on the phone already.
    """
    if shutil.which("dexdump") is None:
        pytest.skip("needs dexdump: apt install dexdump")
    classes = re.findall(r"Class descriptor  : 'L([^;]+);'", said("dexdump", apk))

    assert {name.rpartition("/")[0] for name in classes} == {"org/edgeafri/demo"}
    assert {"MainActivity", "Page", "Router", "Door"} <= {name.rpartition("/")[2] for name in classes}


@pytest.mark.slow
def test_the_page_is_in_it_byte_for_byte(apk, page):
    """
    After packing, aligning and signing.
    """
    with zipfile.ZipFile(apk) as archive:
        found = {name: archive.read(f"assets/{name}") for name in page}
        assets = [name for name in archive.namelist() if name.startswith("assets/")]

    assert found == {name: path.read_bytes() for name, path in page.items()}
    assert len(assets) == len(page)


@pytest.mark.slow
def test_an_app_without_its_page_is_small(apk, page):
    """
    Code, icon and words: some 20 kB.
    """
    assert 10_000 < app_bytes(apk) < 60_000
    assert app_bytes(apk) == apk.stat().st_size - page["bundle/model.onnx"].stat().st_size


@pytest.mark.slow
def test_equal_pages_under_one_key_make_equal_apks(apk, page, named, tools, tmp_path, monkeypatch):
    """
    Who builds it again can compare; one that is there is replaced, and nothing is left beside it.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(apk.parents[1] / "data"))
    (tmp_path / "a.apk").write_bytes(b"an older one")
    pack(page, named, tools, tmp_path / "a.apk")

    assert (tmp_path / "a.apk").read_bytes() == apk.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.apk"]


@pytest.mark.slow
def test_a_release_key_signs(page, named, tools, tmp_path, monkeypatch):
    """
    The certificate is the user's, and its password was right.
    """
    _release_key(tmp_path, monkeypatch)
    key = pack(page, named, tools, tmp_path / "a.apk")
    certificate = said("apksigner", "verify", "--print-certs", tmp_path / "a.apk")

    assert key.kind == "release"
    assert "CN=Someone" in certificate


@pytest.mark.slow
def test_a_release_key_under_another_password(page, named, tools, tmp_path, monkeypatch):
    """
    Named as what it is, and no APK is left.
    """
    _release_key(tmp_path, monkeypatch)
    monkeypatch.setenv(PASSWORD, "something else")
    with pytest.raises(ConfigError) as caught:
        pack(page, named, tools, tmp_path / "out" / "a.apk")

    assert "the release key cannot be used" in caught.value.message
    assert "password was incorrect" in caught.value.message
    assert "EDGEAFRI_KEY_PASSWORD" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def _release_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "open sesame")
    monkeypatch.setenv(KEYSTORE, str(folder / "release.p12"))
    options = ("-alias", "upload", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=Someone", "-validity", "1000")
    store = ("-keystore", folder / "release.p12", "-storetype", "PKCS12", "-storepass:env", PASSWORD)
    said("keytool", "-genkeypair", *store, *options)
