"""The app's own files: Java that JUnit tests, words in five languages, rules that are the server's as well."""

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeafri.apps.apk.build import app_folder
from edgeafri.apps.apk.toolchain import Toolchain
from edgeafri.apps.server import MIME_TYPES, policy
from edgeafri.apps.web import page_folder

APP = app_folder()
ROUTER = (APP / "java" / "org" / "edgeafri" / "demo" / "Router.java").read_text("utf-8")
ANDROID = "{http://schemas.android.com/apk/res/android}"
JARS = Path("/usr/share/java")
JUNIT = (
    "junit-jupiter-api junit-jupiter-engine junit-jupiter-params junit-platform-commons junit-platform-console "
    "junit-platform-engine junit-platform-launcher junit-platform-reporting apiguardian-api opentest4j "
    "opentest4j-reporting-events opentest4j-reporting-schema picocli univocity-parsers"
)
LOGIC = ("Router", "BackGesture")


def words(folder: str) -> dict[str, str]:
    """The strings of one language."""
    root = ElementTree.parse(APP / "res" / folder / "strings.xml").getroot()  # noqa: S314  # a file of our own
    return {str(item.get("name")): str(item.text) for item in root.iter("string")}


@pytest.mark.slow
def test_the_apps_rules_hold(tools: Toolchain, tmp_path: Path):
    """
    JUnit: paths that lead out, unknown files, types, ranges, the policy, the back gesture.
    """
    jars = [JARS / f"{name}.jar" for name in JUNIT.split()]
    missing = [jar.name for jar in jars if not jar.is_file()]
    if missing:
        pytest.skip(f"no {missing[0]}; sudo apt-get install --no-install-recommends junit5")
    path = ":".join(map(str, [*jars, tools.classes]))
    sources = [APP / "java" / "org" / "edgeafri" / "demo" / f"{name}.java" for name in LOGIC]
    sources += sorted((APP / "test").rglob("*.java"))
    command = ["javac", "-encoding", "UTF-8", "-cp", path, "-d", tmp_path, *sources]
    subprocess.run(command, check=True, capture_output=True)
    console = ["org.junit.platform.console.ConsoleLauncher", "--scan-classpath", str(tmp_path), "--fail-if-no-tests"]
    command = ["java", "-cp", f"{tmp_path}:{':'.join(map(str, jars))}", *console, "--disable-banner", "--details=tree"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert re.search(r"\[ +0 tests failed", done.stdout)


def test_every_test_of_the_app_is_of_a_class_that_is_tested():
    """
    A new test in Java must not be forgotten here.
    """
    assert {path.name.removesuffix("Test.java") for path in (APP / "test").rglob("*Test.java")} == set(LOGIC)


@pytest.mark.parametrize("version", [92, 126])
def test_the_app_and_the_server_send_one_policy(version: int):
    """
    A page that runs under one runs under the other.
    """
    found = re.search(r"POLICY =\s+\"(.*?)\";", ROUTER, re.DOTALL)
    assert found is not None
    text = re.sub(r'"\s+\+ "', "", found[1])

    assert text % ("'unsafe-eval'" if version < 97 else "'wasm-unsafe-eval'") == policy(f"Chrome/{version}.0")


def test_the_app_and_the_server_give_one_type():
    """
    A browser that is told another type runs no script and compiles no WebAssembly.
    """
    ours = dict(re.findall(r'TYPES\.put\("(\w+)", "([^"]+)"\)', ROUTER))
    theirs = {suffix[1:]: kind.split(";")[0] for suffix, kind in MIME_TYPES.items()}

    assert {suffix: ours.get(suffix) for suffix in theirs} == theirs


def test_every_file_of_the_page_has_a_name_that_the_app_answers():
    """
    And a type, but for what is bytes.
    """
    part = re.search(r'PART = "([^"]+)"', ROUTER)
    assert part is not None
    names = [path.relative_to(page_folder()).as_posix() for path in page_folder().rglob("*") if path.is_file()]

    assert names
    assert [name for name in names if not re.fullmatch(f"(?:{part[1]}/)*{part[1]}", name)] == []
    assert {Path(name).suffix for name in names} <= set(MIME_TYPES)


@pytest.mark.parametrize("folder", ["values-sw", "values-ha", "values-fr", "values-am"])
def test_every_language_has_every_word(folder: str):
    """
    With the same numbers in it.
    """
    english, other = words("values"), words(folder)

    assert list(other) == list(english)
    assert {name: sorted(re.findall(r"%\d\$d", text)) for name, text in other.items()} == {
        name: sorted(re.findall(r"%\d\$d", text)) for name, text in english.items()
    }


@pytest.mark.parametrize("folder", ["values", "values-sw", "values-ha", "values-fr", "values-am"])
def test_no_word_has_a_quote_that_android_swallows(folder: str):
    """
    Android takes a bare apostrophe or quotation mark out of a text.
    """
    assert [text for text in words(folder).values() if re.search(r"(?<!\\)['\"]", text)] == []


def test_the_manifest_asks_for_nothing():
    """
    No permission, no backup of what a user kept, no plain-text traffic.
    """
    root = ElementTree.parse(APP / "AndroidManifest.xml").getroot()  # noqa: S314  # a file of our own
    app = root.find("application")

    assert app is not None
    assert root.findall("uses-permission") == []
    assert app.get(f"{ANDROID}allowBackup") == "false"
    assert app.get(f"{ANDROID}usesCleartextTraffic") == "false"


def test_turning_the_phone_keeps_the_text():
    """
    The activity takes these changes itself; Android would else make it, and the page, anew.
    """
    root = ElementTree.parse(APP / "AndroidManifest.xml").getroot()  # noqa: S314  # a file of our own
    activity = root.find("application/activity")

    assert activity is not None
    changes = str(activity.get(f"{ANDROID}configChanges")).split("|")
    assert {"orientation", "screenSize", "keyboardHidden", "fontScale", "locale", "uiMode"} <= set(changes)
