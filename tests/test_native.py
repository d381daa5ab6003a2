"""The native app: its Kotlin core, on the JVM, equals the runtime on every shared vector; its words; its manifest."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edgeafri.artifact import Artifact, load_artifact, seal
from edgeafri.documents.measurement import Measurement
from edgeafri.util.files import Digests

DEMO = Path(__file__).parents[1] / "android-demo"
TINY = DEMO / "vectors" / "tiny"
APP = DEMO / "native" / "app" / "src" / "main"
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
STDLIB = Path("/usr/share/java/kotlin-stdlib.jar")
LABELLED = 41  # golden sentences of the tiny bundle
Replay = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="session")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Compile the core once; the exit code, the JSON document and the messages of a comparison."""
    kotlinc, java = shutil.which("kotlinc"), shutil.which("java")
    if kotlinc is None or java is None or not STDLIB.is_file():
        pytest.skip("no kotlinc, java or kotlin-stdlib.jar here: apt-get install kotlin")
    jar = tmp_path_factory.mktemp("native") / "core.jar"
    sources = sorted(str(file) for file in (DEMO / "native" / "core" / "src").rglob("*.kt"))
    compiled = subprocess.run([kotlinc, "-jvm-target", "1.8", *sources, "-d", str(jar)], capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr

    def run(*arguments: Path) -> tuple[int, dict[str, Any], str]:
        program = [java, "-cp", f"{jar}:{STDLIB}", "org.edgeafri.core.ReplayKt"]
        done = subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8")
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    return run


@pytest.fixture(scope="session")
def lab_bundle(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with the tokenizer of the lab's teacher, in the form that every bundle has it."""
    from edgeafri.stages.bundle import normalized_tokenizer

    folder = tmp_path_factory.mktemp("lab")
    for name in ("manifest.json", "bundle.json"):
        shutil.copyfile(TINY / name, folder / name)
    (folder / "golden.jsonl").write_text("", "utf-8")
    normalized_tokenizer(lab / "models" / "lab-ner").save(str(folder / "tokenizer.json"))
    values = json.loads((folder / "bundle.json").read_text("utf-8"))
    (folder / "bundle.json").write_text(json.dumps({**values, "max_tokens": 256}), "utf-8")
    _seal(load_unchecked(folder))
    return folder


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to be damaged."""
    return Path(shutil.copytree(TINY, tmp_path / "bundle", ignore=shutil.ignore_patterns("vectors.jsonl")))


def made(bundle: Path, out: Path, *more: str) -> Path:
    """Vectors of a bundle, by the command that the README names."""
    command = [sys.executable, str(DEMO / "vectors" / "make.py"), str(bundle), "--out", str(out), *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DEMO.parent, env=_environment())
    assert done.returncode == 0, done.stderr
    return out


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(DEMO.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def changed(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file of a bundle and seal the bundle again."""
    values = json.loads((folder / name).read_text("utf-8"))
    change(values)
    (folder / name).write_text(json.dumps(values), "utf-8")
    _seal(load_unchecked(folder))


def load_unchecked(folder: Path) -> Artifact:
    """The artifact as its manifest tells it, whatever its files hold."""
    whole = folder.parent / "whole"
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(TINY, whole)
    with Digests() as digests:
        return replace(load_artifact(whole, digests), path=folder)


def _seal(artifact: Artifact) -> None:
    with Digests() as digests:
        seal(artifact.path, artifact.manifest, digests)


@pytest.mark.slow
def test_committed_vectors_are_what_the_runtime_makes_today(tmp_path):
    """
    Words, ids and windows of the kept vectors are those of this version: made again, every one is found.
    """
    kept = (TINY / "vectors.jsonl").read_text("ascii").splitlines()

    fresh = made(TINY, tmp_path / "vectors.jsonl").read_text("ascii").splitlines()

    assert set(kept) <= set(fresh)
    assert sum("labels" in json.loads(line) for line in kept) == LABELLED


@pytest.mark.slow
def test_kotlin_core_equals_the_committed_vectors(replay):
    """
    Words, offsets, ids, windows, labels and entities of the project's own sentences and of odd strings are equal.
    """
    code, report, _ = replay(TINY, TINY / "vectors.jsonl")

    assert (code, report["mismatches"], report["labelled"]) == (0, 0, LABELLED)


@pytest.mark.slow
def test_kotlin_core_equals_the_runtime_on_very_long_texts(replay, tmp_path):
    """
    10,000 characters without a space, thousands of marks on one letter and thousands of windows are read alike.
    """
    code, report, _ = replay(TINY, made(TINY, tmp_path / "vectors.jsonl"))

    assert (code, report["mismatches"]) == (0, 0)
    assert report["rows"] > 800


@pytest.mark.slow
def test_kotlin_core_equals_the_runtime_where_texts_are_labelled(replay, text_bundle, tmp_path):
    """
    A classifier's texts are cut at spaces, and only their beginning is read.
    """
    code, report, _ = replay(text_bundle, made(text_bundle, tmp_path / "vectors.jsonl"))

    assert (code, report["mismatches"]) == (0, 0)
    assert report["labelled"] > 0


@pytest.mark.slow
def test_kotlin_core_equals_the_runtime_on_masakhaner(replay, lab, lab_bundle, tmp_path):
    """
    Every sentence of dev and test in ten languages, in NFC and in NFD, has the ids that the runtime gives it.
    """
    vectors = made(lab_bundle, tmp_path / "vectors.jsonl", "--data", str(lab / "data" / "masakhaner"))

    code, report, _ = replay(lab_bundle, vectors)

    assert (code, report["mismatches"]) == (0, 0)
    assert report["texts"] > 15_000


@pytest.mark.slow
def test_a_wrong_vector_is_found(replay, tmp_path):
    """
    The comparison compares: a single other id, offset or label is a mismatch and exit code 1.
    """
    line = json.loads((TINY / "vectors.jsonl").read_text("ascii").splitlines()[0])
    words, rows = line["words"], line["rows"]
    other_ids = {**line, "rows": [{**rows[0], "ids": [*rows[0]["ids"], 2]}]}
    other_words = {**line, "words": [[words[0][0], 0, 1], *words[1:]]}
    other_entities = {**line, "entities": []}
    file = tmp_path / "vectors.jsonl"
    file.write_text("".join(json.dumps(item) + "\n" for item in (other_words, other_entities)), "ascii")

    code, report, _ = replay(TINY, file)

    assert code == 1
    assert [item["what"] for item in report["first"]] == ["words", "entities"]
    file.write_text(json.dumps({key: other_ids[key] for key in ("source", "text", "words", "rows")}) + "\n", "ascii")
    assert [item["what"] for item in replay(TINY, file)[1]["first"]] == ["rows"]


@pytest.mark.slow
def test_text_of_a_kind_that_the_model_did_not_learn_is_told(replay, tmp_path):
    """
    Most letters in a script that no golden sentence has, or most words with an unknown piece; a foreign name is normal.
    """
    texts = ["Rais Amina alizuru Nairobi", "Rais 习近平 alizuru Nairobi", "我们在北京", "12 😀 😃 😄", ""]
    lines = [{"source": "test", "text": text, "words": [], "rows": []} for text in texts]
    file = tmp_path / "vectors.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "ascii")

    _, report, _ = replay(TINY, file)

    assert report["doubts"] == {"NONE": 3, "SCRIPT": 1, "PIECES": 1}


@pytest.mark.slow
def test_benchmark_of_the_app_has_the_keys_of_a_measurement(replay):
    """
    Schema, keys and order are those of `edgeafri bench`, and `work` holds the manifest's numbers.
    """
    _, report, _ = replay(TINY, TINY / "vectors.jsonl")

    found = Measurement(**report["measurement"])
    assert list(report["measurement"]) == [field.name for field in fields(Measurement)]
    assert found.work == {"weight_bits": 8, "share": 1.5e-07}
    assert (found.seq_len, found.runs, found.warmup) == (48, 50, 5)


@pytest.mark.slow
def test_bundle_is_copied_once_and_checked(replay, copied, tmp_path):
    """
    The app copies its bundle beside nothing else; a second start uses that copy, a damaged copy is made anew.
    """
    root = tmp_path / "installed"
    vectors = TINY / "vectors.jsonl"

    codes = [replay(copied, vectors, root)[0]]
    tokenizer = next(root.glob("*/tokenizer.json"))
    first = tokenizer.stat().st_mtime_ns
    codes.append(replay(copied, vectors, root)[0])
    second = tokenizer.stat().st_mtime_ns
    tokenizer.write_text("{}", "utf-8")
    codes.append(replay(copied, vectors, root)[0])

    assert codes == [0, 0, 0]
    assert first == second
    assert tokenizer.read_bytes() == (TINY / "tokenizer.json").read_bytes()


def _truncates(values: dict[str, Any]) -> None:
    values["truncation"] = {"max_length": 8}


def _is_bpe(values: dict[str, Any]) -> None:
    values["model"]["type"] = "BPE"


def _lowercases(values: dict[str, Any]) -> None:
    values["normalizer"] = {"type": "Lowercase"}


def _splits_bytes(values: dict[str, Any]) -> None:
    values["pre_tokenizer"] = {"type": "ByteLevel"}


def _prepends_never(values: dict[str, Any]) -> None:
    values["pre_tokenizer"]["prepend_scheme"] = "never"


def _replaces_digits(values: dict[str, Any]) -> None:
    values["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[0-9]"}, "content": "0"}


def _falls_back(values: dict[str, Any]) -> None:
    values["model"]["byte_fallback"] = True


def _knows_all(values: dict[str, Any]) -> None:
    values["model"]["unk_id"] = None


def _adds_words(values: dict[str, Any]) -> None:
    values["added_tokens"][0]["single_word"] = True


def _has_no_table(values: dict[str, Any]) -> None:
    values["normalizer"]["normalizers"][1]["precompiled_charsmap"] = "/w=="


def _has_no_model(values: dict[str, Any]) -> None:
    del values["model"]


def _is_list(values: dict[str, Any]) -> None:
    values["model"]["vocab"] = 3


OTHER_TOKENIZERS = [
    (_is_bpe, "a model of kind 'BPE' is not read by this app\nThis app reads Unigram tokenizers"),
    (_falls_back, "a model of kind 'Unigram with byte fallback'"),
    (_knows_all, "a model of kind 'Unigram without unknown piece'"),
    (_lowercases, "a normalizer of kind 'Lowercase'"),
    (_replaces_digits, "a replacement of kind '[0-9]'"),
    (_splits_bytes, "a pre-tokenizer of kind 'ByteLevel'"),
    (_prepends_never, "a pre-tokenizer of kind 'Metaspace ▁ never'"),
    (_truncates, "a setting of kind 'truncation'"),
    (_adds_words, "a token of kind 'single word'"),
    (_has_no_table, "tokenizer.json: its table of characters is damaged"),
    (_has_no_model, "tokenizer.json: 'model' is missing"),
    (_is_list, "tokenizer.json, 'model', 'vocab': is not a list"),
]


@pytest.mark.parametrize(("change", "message"), OTHER_TOKENIZERS, ids=lambda item: getattr(item, "__name__", ""))
@pytest.mark.slow
def test_other_tokenizers_are_refused_by_name(replay, copied, change, message):
    """
    What this core would do in another way than the runtime is refused, never left out.
    """
    changed(copied, "tokenizer.json", change)

    code, _, said = replay(copied, TINY / "vectors.jsonl")

    assert code == 4
    assert message in said


OTHER_CONFIGS = [
    ({"schema": 9}, "bundle.json: made for schema 9, this app reads 2\nUpdate the app."),
    ({"task": "mask"}, "bundle.json: this app knows no task 'mask'"),
    ({"normalization": "NFKD"}, "bundle.json: this app knows no normalization 'NFKD'"),
    ({"max_tokens": "many"}, "bundle.json, 'max_tokens': is not a whole number"),
    ({"labels": "O"}, "bundle.json, 'labels': is not a list"),
    ({"frame": {"start": 0}}, "bundle.json, 'frame': 'end' is missing"),
    ({"sample": 1}, "bundle.json, 'sample': is not true or false"),
]


@pytest.mark.parametrize(("values", "message"), OTHER_CONFIGS, ids=lambda item: next(iter(item)) if item else "")
@pytest.mark.slow
def test_settings_that_are_not_understood_are_refused(replay, copied, values, message):
    """
    A newer schema, an unknown task and a wrong value are named with their place.
    """
    changed(copied, "bundle.json", lambda found: found.update(values))

    code, _, said = replay(copied, TINY / "vectors.jsonl")

    assert code == 4
    assert message in said


DAMAGES: list[tuple[str, Callable[[Path], object], str]] = [
    ("changed", lambda folder: _flip(folder / "golden.jsonl"), "golden.jsonl: content changed since it was sealed"),
    ("longer", lambda folder: _append(folder / "golden.jsonl"), "golden.jsonl: 14"),
    ("missing", lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: missing"),
    (
        "no manifest",
        lambda folder: (folder / "manifest.json").unlink(),
        "manifest.json: missing\nCopy the bundle again",
    ),
    ("cut off", lambda folder: _cut(folder / "manifest.json"), "manifest.json: is not JSON (character"),
    ("edited", lambda folder: _edit(folder, '"task": "ner"', '"task": "pos"'), "manifest.json: changed after it was"),
    ("newer", lambda folder: _edit(folder, '"schema": 1', '"schema": 2'), "manifest.json: made for schema 2"),
    ("kind", lambda folder: _edit(folder, '"kind": "bundle"', '"kind": "onnx"'), "holds onnx, not a bundle\nGive the"),
]


@pytest.mark.parametrize(("damage", "message"), [item[1:] for item in DAMAGES], ids=[item[0] for item in DAMAGES])
@pytest.mark.slow
def test_damaged_bundles_are_refused(replay, copied, damage, message):
    """
    A file that is missing, longer or changed is named, and so is a manifest that cannot be trusted.
    """
    damage(copied)

    code, _, said = replay(copied, TINY / "vectors.jsonl")

    assert code == 4
    assert message in said


@pytest.mark.slow
def test_file_outside_the_bundle_is_refused(replay, copied):
    """
    A manifest that names ../x is refused even where its id is right.
    """
    artifact = load_unchecked(copied)
    (copied.parent / "x").write_text("x", "utf-8")
    files = {"../x": {"sha256": "", "bytes": 1}}
    manifest = replace(artifact.manifest, files=files)
    values = json.loads((copied / "manifest.json").read_text("utf-8"))
    (copied / "manifest.json").write_text(json.dumps({**values, "files": files, "id": manifest.id}), "utf-8")

    code, _, said = replay(copied, TINY / "vectors.jsonl")

    assert code == 4
    assert "names a file outside its folder (../x)" in said


@pytest.mark.slow
def test_folder_that_cannot_be_written_is_named(replay, copied, tmp_path):
    """
    Where the copy cannot be made, the message names the folder and says what to do.
    """
    (tmp_path / "file").write_text("", "utf-8")

    code, _, said = replay(copied, TINY / "vectors.jsonl", tmp_path / "file" / "installed")

    assert code == 4
    assert "cannot be written" in said
    assert "Free some space" in said


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(data)


def _append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def _edit(folder: Path, old: str, new: str) -> None:
    file = folder / "manifest.json"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("folder", ["values", "values-am", "values-fr", "values-ha", "values-sw"])
def test_words_of_the_app_are_those_of_the_page(folder):
    """
    The strings of every language are what words.py writes from the page's words; none is corrected in another place.
    """
    words = runpy.run_path(str(DEMO / "native" / "words.py"))
    code = next(code for code, name in words["FOLDERS"].items() if name == folder)

    assert (APP / "res" / folder / "strings.xml").read_text("utf-8") == words["strings"](code), (
        "run: python android-demo/native/words.py"
    )


def test_every_word_that_the_app_uses_is_there_in_english():
    """
    No screen asks for a string that does not exist.
    """
    words = runpy.run_path(str(DEMO / "native" / "words.py"))
    strings = (APP / "res" / "values" / "strings.xml").read_text("utf-8")

    assert set(re.findall(r'<string name="(\w+)">', strings)) == words["_used"]()


def test_app_asks_for_no_permission():
    """
    The manifest names no permission, so the app cannot reach a network.
    """
    manifest = (APP / "AndroidManifest.xml").read_text("utf-8")

    assert "<uses-permission" not in manifest


@pytest.mark.slow
def test_manifest_and_resources_link(tmp_path):
    """
    Debian's aapt2 takes them, but for one attribute that is younger than its Android 10.
    """
    aapt2 = shutil.which("aapt2")
    if aapt2 is None or not FRAMEWORK.is_file():
        pytest.skip("no aapt2 or framework-res.apk here: apt-get install aapt android-framework-res")
    manifest = (APP / "AndroidManifest.xml").read_text("utf-8")
    manifest = manifest.replace('android:localeConfig="@xml/locales"', "")
    manifest = manifest.replace("<manifest ", '<manifest package="org.edgeafri.app" ')
    (tmp_path / "AndroidManifest.xml").write_text(manifest, "utf-8")
    sdk = ["--min-sdk-version", "26", "--target-sdk-version", "36"]
    compiled, linked = tmp_path / "resources.zip", tmp_path / "app.apk"
    link = ["link", "-I", str(FRAMEWORK), "--manifest", str(tmp_path / "AndroidManifest.xml"), *sdk]

    first = subprocess.run([aapt2, "compile", "--dir", str(APP / "res"), "-o", str(compiled)], capture_output=True)
    second = subprocess.run([aapt2, *link, "-o", str(linked), str(compiled)], capture_output=True)

    assert (first.returncode, first.stderr) == (0, b"")
    assert (second.returncode, second.stderr) == (0, b"")
