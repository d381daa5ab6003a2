"""What an app calls itself: apps of two bundles are two apps, and a newer EdgeAfri makes a newer one."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgeafri.apps.apk.identity import identity, version_code
from edgeafri.artifact import Artifact, Manifest
from edgeafri.bundle import BundleConfig, Frame
from edgeafri.data.languages import LANGUAGES
from edgeafri.errors import UsageError
from edgeafri.tasks import TASKS

CONFIG = BundleConfig(
    schema=2,
    task="ner",
    labels=("O",),
    languages=("hau", "yor"),
    max_tokens=64,
    frame=Frame(0, 2, 1),
    threads=1,
    normalization="NFC",
    sample=False,
    oldest_onnxruntime="1.14",
)
BUNDLE = Artifact(Path("bundle"), Manifest("bundle", "ner", ("hau",), "bundle", {}, None, {}, {}))
OTHER = Artifact(Path("other"), Manifest("bundle", "ner", ("yor",), "bundle", {}, None, {}, {}))


def test_a_package_is_the_bundle():
    """
    Two models stand side by side on a phone, and Android takes the name: each part begins with a letter.
    """
    package = identity(BUNDLE, CONFIG).package

    assert package == f"org.edgeafri.demo.b{BUNDLE.id}"
    assert re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+", package)
    assert identity(OTHER, CONFIG).package != package


@pytest.mark.parametrize(
    ("version", "code"), [("0.1.0", 100), ("1.2.3", 10203), ("0.0.0", 1), ("2.0", 20000), ("1.2.3.dev4", 10203)]
)
def test_a_version_is_a_number_as_well(version: str, code: int):
    """
    Android compares numbers, and refuses zero.
    """
    assert version_code(version) == code


def test_the_version_is_that_of_edgeafri():
    """
    A newer app of the same bundle replaces the older one.
    """
    made = identity(BUNDLE, CONFIG, "1.2.3")

    assert (made.version_name, made.version_code) == ("1.2.3", 10203)


@pytest.mark.parametrize(
    ("config", "label"),
    [
        (CONFIG, "Names: Hausa, Yoruba"),
        (replace(CONFIG, languages=("swa",)), "Names: Swahili"),
        (replace(CONFIG, languages=("hau", "swa", "yor")), "Names: 3 languages"),
        (replace(CONFIG, task="sentiment"), "Tone: Hausa, Yoruba"),
        (replace(CONFIG, sample=True), "Names (sample)"),
    ],
)
def test_the_label_says_what_the_model_does(config: BundleConfig, label: str):
    """
    By the word under its icon one app is told from another.
    """
    assert identity(BUNDLE, config).label == label


def test_every_task_has_a_label():
    """
    A new task gets its word before it is packed.
    """
    labels = [identity(BUNDLE, replace(CONFIG, task=row.name)).label for row in TASKS]

    assert len(set(labels)) == len(TASKS)


def test_no_name_of_a_language_must_be_quoted():
    """
    Android's resources give quotes, backslashes, @ and ? a meaning of their own.
    """
    assert [row.name for row in LANGUAGES if re.search(r"[\\'\"@?<&]", row.name)] == []


@pytest.mark.parametrize("changed", [{"task": "'; x"}, {"languages": ("x<y",)}])
def test_a_bundle_writes_no_words_of_its_own_into_the_app(changed: dict[str, object]):
    """
    Task and languages are names of our tables, or there is no app.
    """
    with pytest.raises(UsageError):
        identity(BUNDLE, replace(CONFIG, **changed))
