"""The page in a real Chromium, as on a small phone: it answers, measures, keeps nothing and asks nobody."""

import dataclasses
import json

import pytest

from edgeafri.apps.web import make_page
from edgeafri.device.profile import read_profile
from edgeafri.documents.measurement import Measurement
from edgeafri.latency.calibrate import calibrate

# From a cold start to the first entity with the lab's model, the processor four times slower. The aim is 3 s; what else
# runs on the machine of the tests may take as long again.
FIRST_MS = 6000


@pytest.fixture
def visit(node, chromium: str, serving, libraries: None):
    """A function: what a person meets on the page of a bundle, with screenshots in a folder."""

    def go(bundle, folder) -> dict:
        with serving(make_page(bundle).files) as address:
            return json.loads(node("browser.mjs", address, folder, chromium))

    return go


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bundle", "text_bundle"])
def test_a_person_meets_calm_words_and_leaves_nothing_behind(visit, kind: str, request, shots):
    """
    Every screen in five languages, in the dark and in large letters: no request leaves the page, nothing is wrong on
    the console, nothing is wider than the phone, no text is run as HTML, nothing is kept without a tick.
    """
    folder = shots / kind
    report = visit(request.getfixturevalue(kind), folder)
    seen, said = report["seen"], report["seen"]["said"]

    assert (report["outside"], report["console"]) == ([], [])
    assert {name: value for name, value in seen.items() if name.startswith("overflow") and value} == {}
    assert said["empty"].startswith("There is no text yet")
    assert said["script"].startswith("Most letters of this text are in a script")
    assert said["pieces"].startswith("This model knows few of the word pieces")
    assert said["long"].startswith("This text has 22000 characters; at most 20000")
    assert all(said.values())
    assert (seen["kept_before"], seen["kept_without_tick"], seen["kept_after"]) == ([], [], [])
    assert seen["kept_with_tick"] == [["edgeafri.language", "ha"]]
    assert ["Apache License" in text or "MIT" in text for text in seen["licences"]] == [True] * 3
    assert len(list(folder.glob("*.png"))) >= 20


@pytest.mark.slow
def test_the_measurement_is_one_of_the_project(visit, bundle, tmp_path):
    """
    All keys of a measurement, null where a browser does not say; golden sentences as expected; `calibrate` reads it.
    """
    found = visit(bundle, tmp_path)["measurement"]
    profile = dataclasses.replace(read_profile("phone-t606"), models=())
    read = calibrate(profile, [("page", found)])

    assert list(found) == [field.name for field in dataclasses.fields(Measurement)]
    assert found["conditions"]["golden_equal"] == found["conditions"]["golden"] > 0
    assert found["conditions"]["browser"].startswith("Android System WebView")
    assert (found["cpu_ms"], found["peak_rss_mb"]) == (None, None)
    assert read.constants[0].runs == 1


@pytest.mark.slow
def test_the_first_entity_of_the_lab_model_comes_soon(visit, lab_int8, shots):
    """
    With a model of 11 MB; and while a long text is read the page answers and can be told to stop.
    """
    seen = visit(lab_int8, shots / "lab")["seen"]

    assert seen["first_entity_ms"] < FIRST_MS
    assert seen["answers_while_reading_ms"] < 1000
    assert seen["stopped"].startswith("Stopped")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("bundle/model.onnx", lambda data: data[: len(data) // 2], "A file of the model is missing or damaged"),
        ("bundle/model.onnx", lambda data: bytes(len(data)), "This engine cannot open the model"),
        ("bundle/tokenizer.json", lambda data: b"[" * len(data), "The file tokenizer.json cannot be read"),
        ("bundle/tokenizer.json", None, "A file of the model is missing or damaged"),
        ("bundle/manifest.json", lambda data: b"{", "A file of the model is missing or damaged"),
        ("vendor/ort-wasm-simd-threaded.wasm", lambda data: b"none", "This browser cannot run the model"),
        ("vendor/tokenizers.min.mjs", None, "This browser cannot run the model"),
    ],
)
def test_what_cannot_be_opened_is_told_calmly(
    node, chromium, serving, libraries, bundle, tmp_path, name, content, said
):
    """
    A file cut short, of the right length but damaged, or missing; a browser that cannot compile the engine. The other
    screens stay.
    """
    files = make_page(bundle).files
    if content is None:
        del files[name]
    else:
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content(files[name].read_bytes()))
        files[name] = damaged.rename(tmp_path / f"damaged{files[name].suffix}")
    with serving(files) as address:
        seen = json.loads(node("failure.mjs", address, chromium))

    assert seen["said"].startswith(said), seen
    assert seen["state"] == "Not ready"
    assert "Your text stays on this device" in seen["about"] or "Model" in seen["about"]
