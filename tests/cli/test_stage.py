"""The stages' own commands, generated from their settings: `edgeafri trim SOURCE --out DIR`."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

from edgeafri import menu
from edgeafri.artifact import Artifact, adopt
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.cli import execute
from edgeafri.cli.stage import stage_command
from edgeafri.menu import MENU, Stage
from edgeafri.menu.facts import Facts
from edgeafri.menu.facts.conversion import Compared, Equivalence, HeldOut, LanguageCover, TrimFacts
from edgeafri.menu.facts.training import ShrinkFacts
from edgeafri.menu.settings import ShrinkSettings, TrimSettings
from edgeafri.util.files import Digests

HELD_OUT = HeldOut(
    sentences=1200,
    coverage=0.99876,
    one_to_one=0.9567,
    fertility_before=1.5,
    fertility=1.6,
    unknown_before=0.0001,
    unknown=0.0002,
)
TOO_FEW = LanguageCover(words=9, coverage=1.0, held_out=HeldOut(sentences=0))
SHRUNK = dict.fromkeys(("parameters_before", "macs_before", "bytes_before", "parameters", "macs", "bytes"), 8)
NOTHING = Compared(inputs=0, largest_difference=None)


class Method:
    """A stage that keeps the settings it was run with."""

    settings: Any = None
    facts: Facts | None = None

    def run(self, source: Any, settings: Any, out: Path, progress: Any) -> Facts:
        self.settings = settings
        (out / "model.safetensors").write_bytes(b"weights")
        return self.facts or self.trimmed()

    def trimmed(self) -> TrimFacts:
        sizes = {"vocabulary_before": 9, "vocabulary": 3, "parameters_before": 9_000_000, "parameters": 3_000_000}
        compared = {"swa": Compared(inputs=32, largest_difference=2e-7), "hau": NOTHING}
        proof = Equivalence(of="logits", tolerance=1e-6, languages=compared)
        languages = {"swa": LanguageCover(words=9000, coverage=1.0, held_out=HELD_OUT), "hau": TOO_FEW}
        return TrimFacts(keep="corpus", **sizes, languages=languages, proof=proof)


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> Method:
    fake = Method()
    monkeypatch.setattr(menu, "load_stage", lambda name: fake)
    return fake


@pytest.fixture
def source(source: Artifact) -> Path:
    """The folder alone, as a user names it."""
    return source.path


def options_of(line: Stage) -> dict[str, click.Option]:
    command = stage_command(line.name)
    assert command is not None
    return {item.name: item for item in command.params if isinstance(item, click.Option) and item.name}


@pytest.mark.parametrize("line", MENU, ids=lambda line: line.name)
def test_options_are_the_settings(line: Stage):
    """
    Name, sentence and default come from the settings class; only --out and --json are the command's own.
    """
    options = options_of(line)
    out, as_json = options.pop("out"), options.pop("as_json")

    assert (out.required, as_json.is_flag) == (True, True)
    assert list(options) == [field.name for field in fields(line.settings)]
    for field in fields(line.settings):
        option = options[field.name]
        assert option.opts == [f"--{field.name.replace('_', '-')}"]
        assert str(option.help).startswith(field.metadata["about"])
        assert field.default in (None, ()) or f"[default: {field.default}]" in str(option.help)


def test_the_kind_of_a_value_is_shown():
    """
    A choice shows its choices, a number that it is one, a list how it is written.
    """
    quantize, trim = (options_of(menu.stage(name)) for name in ("quantize", "trim"))
    finetune, bundle = (options_of(menu.stage(name)) for name in ("finetune", "bundle"))
    shown = [quantize["weights"], trim["languages"], trim["text"], finetune["epochs"], finetune["dropout"]]

    assert [option.metavar for option in shown] == ["auto|int8|int4|float32", "A,B", "DIR", "N", "X"]
    assert (bundle["sample"].is_flag, bundle["sample"].secondary_opts) == (True, ["--no-sample"])


def test_what_is_no_stage_has_no_command():
    """
    The group then says that there is no such command.
    """
    assert stage_command("trimm") is None


def test_text_becomes_the_settings_that_the_stage_sees(source: Path, tmp_path: Path, method: Method, data: Path):
    """
    Typed and complete, as from a recipe.
    """
    arguments = ["trim", str(source), "--out", str(tmp_path / "out"), "--languages", "swa,hau", "--data", str(data)]

    assert execute(arguments) == 0
    assert method.settings == TrimSettings(languages=("swa", "hau"), data=data)
    (job,) = plan_jobs([Step("trim", {"languages": ["swa", "hau"], "data": data})], "torch", {})
    assert job.settings == method.settings


def test_a_stage_prints_its_line_or_one_document(
    source: Path, tmp_path: Path, method: Method, data: Path, capfd: pytest.CaptureFixture[str]
):
    """
    Numbers with units for a person, a row a language where a stage counts by language; out, id, stage and facts for a
    program.
    """
    given = ["trim", str(source), "--languages", "swa", "--data", str(data)]
    assert execute([*given, "--out", str(tmp_path / "a")]) == 0
    text = capfd.readouterr().out
    assert execute([*given, "--out", str(tmp_path / "b"), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)

    lines = text.splitlines()
    size = "trim               9 -> 3 subwords, 9.0 -> 3.0 million parameters"
    assert lines[0].startswith(f"{size}, logits within 2e-07 on 32 sentences ")
    assert lines[0].endswith(" s")
    assert lines[1:] == [
        "  language    covered  held out  subwords per word           unknown  cut as before",
        "  swa       100.000 %  99.876 %     1.500 -> 1.600  0.010 -> 0.020 %  95.7 % of 1,200 sentences",
        "  hau       100.000 %                                                 too little text",
    ]
    assert (document["out"], document["stage"]) == (str(tmp_path / "b"), "trim")
    assert document["facts"]["vocabulary"] == 3


def test_what_a_reader_must_know_stands_below(
    source: Path, tmp_path: Path, method: Method, data: Path, capfd: pytest.CaptureFixture[str], monkeypatch
):
    """
    Notes of the facts are told where a build's report would tell them; a program finds what they are of in the facts.
    """
    monkeypatch.setattr(TrimFacts, "notes", lambda facts: ("trim: nothing was looked for", "trim: add text"))
    given = ["trim", str(source), "--languages", "swa", "--data", str(data)]
    assert execute([*given, "--out", str(tmp_path / "a")]) == 0
    text = capfd.readouterr().out
    assert execute([*given, "--out", str(tmp_path / "b"), "--json"]) == 0

    assert text.splitlines()[-2:] == ["note: trim: nothing was looked for", "note: trim: add text"]
    assert "note:" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--languages", "swa", "--keep", "corpuss"], 2, "trim.keep: 'corpuss' is not one of its values\n  next: Did"),
        (["--out", "{teacher}"], 4, "teacher: already there\n  next: Choose another folder, or remove it first."),
    ],
)
def test_a_wrong_command_is_told_before_any_work(
    arguments: list[str], code: int, said: str, source: Path, tmp_path: Path, method: Method, capfd
):
    """
    A value that is none, and a place that is taken.
    """
    words = [word.format(teacher=source) for word in arguments]

    assert execute(["trim", str(source), "--out", str(tmp_path / "out"), *words]) == code
    assert said in capfd.readouterr().err
    assert method.settings is None


def test_a_source_of_another_kind_is_refused(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    `edgeafri quantize` of a torch folder: what to give instead.
    """
    assert execute(["quantize", str(source), "--out", str(tmp_path / "out")]) == 4
    assert "not an EdgeAfri artifact of kind onnx\n  next: Give a folder made by: " in capfd.readouterr().err


def test_without_torch_a_stage_says_what_to_install(
    source: Path, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """
    Exit code 3 on a board, and nothing that looks finished.
    """
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "edgeafri.stages.trim", raising=False)
    out = tmp_path / "out"

    assert execute(["trim", str(source), "--out", str(out), "--languages", "swa", "--data", str(data)]) == 3
    assert "trim needs the package 'torch', which is not installed\n  next: Install what" in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_the_chain_by_hand_makes_what_a_build_makes(
    teacher_folder: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """
    Trim, export, optimize, quantize, bundle: each takes what the one before gave, and the user's folder stays as it is.
    """
    with Digests() as digests:
        before = adopt(teacher_folder, "torch", "ner", (), digests).id
    steps = {
        "trim": ["--languages", "swa,hau", "--data", str(data)],
        "export-onnx": [],
        "optimize": [],
        "quantize": ["--data", str(data)],
        "bundle": ["--languages", "swa,hau", "--margin", "0"],
    }
    source, documents = teacher_folder, []
    for name, options in steps.items():
        assert execute([name, str(source), "--out", str(tmp_path / name), *options, "--json"]) == 0
        documents.append(json.loads(capfd.readouterr().out))
        source = tmp_path / name

    assert documents[0]["facts"]["vocabulary"] <= documents[0]["facts"]["vocabulary_before"]
    assert execute(["verify", str(source)]) == 0
    with Digests() as digests:
        assert adopt(teacher_folder, "torch", "ner", (), digests).id == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trim", "finetune"])
def test_a_stage_that_needs_languages_says_so(
    name: str, teacher_folder: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """
    Without them trim would keep hardly a piece and finetune would learn from nothing.
    """
    arguments = [name, str(teacher_folder), "--out", str(tmp_path / "out"), "--data", str(data)]

    assert execute(arguments) in (2, 4)
    assert "--languages" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_teacher_with_other_labels_can_be_fine_tuned(teacher_folder: Path, data: Path, tmp_path: Path):
    """
    That is the way out that a build names when labels do not match: the old head of nine makes room for one of seven.
    """
    renamed = tmp_path / "renamed"
    for file in data.glob("*/*.txt"):
        (renamed / file.parent.name).mkdir(parents=True, exist_ok=True)
        text = file.read_text("utf-8").replace("-PER", "-PERSON")
        (renamed / file.parent.name / file.name).write_text(text, "utf-8")
    given = ["--data", str(renamed), "--languages", "swa,hau", "--epochs", "1"]

    assert execute(["finetune", str(teacher_folder), "--out", str(tmp_path / "out"), *given]) == 0
    assert len(json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["id2label"]) == 7


@pytest.mark.parametrize("name", ["scratch", "finetune", "adapt-maft", "distill"])
@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_a_seed_that_numpy_refuses_is_refused_before(name, seed, source: Path, tmp_path: Path, capfd):
    """
    It was a traceback in the middle of the work.
    """
    assert execute([name, str(source), "--out", str(tmp_path / "out"), "--seed", seed]) == 2
    assert f"{name}.seed: {seed} is out of range" in capfd.readouterr().err


def test_a_teacher_that_is_not_there_is_called_a_model(source: Path, tmp_path: Path, capfd):
    """
    Not a data folder.
    """
    assert execute(["distill", str(source), "--out", str(tmp_path / "out"), "--teacher", "/no/such"]) == 4
    assert "/no/such: no such model folder\n  next: Check the path given for distill.teacher." in capfd.readouterr().err


def test_a_setting_by_name_takes_two_words(source: Path, tmp_path: Path, method: Method):
    """
    `--latency-of rpi4 0.4`, again for every device.
    """
    option = options_of(menu.stage("shrink"))["latency_of"]
    given = ["--importance", "magnitude", "--latency-of", "rpi4", "0.4"]

    assert (option.nargs, option.multiple, option.metavar) == (2, True, "NAME X")
    method.facts = ShrinkFacts(**SHRUNK, layers=(0,), heads=(2,), ffn=(8,), hidden=16, goals={}, scored_inputs=0)
    assert execute(["shrink", str(source), "--out", str(tmp_path / "out"), *given, "--json"]) == 0
    assert method.settings == ShrinkSettings(importance="magnitude", latency_of={"rpi4": 0.4})


def test_a_setting_by_name_is_checked(source: Path, tmp_path: Path, method: Method, capfd):
    """
    The share must be a number.
    """
    assert execute(["shrink", str(source), "--out", str(tmp_path / "out"), "--latency-of", "rpi4", "fast"]) == 2
    assert "shrink.latency-of.rpi4: expected a number, got 'fast'" in capfd.readouterr().err.replace("_", "-")


@pytest.mark.slow
def test_a_model_is_shrunk_by_command(
    teacher_folder: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """
    In one line: what is left of it.
    """
    given = ["--data", str(data), "--languages", "swa,hau", "--heads", "1,2", "--ffn", "8"]

    assert execute(["shrink", str(teacher_folder), "--out", str(tmp_path / "out"), *given]) == 0
    line = capfd.readouterr().out
    assert "0.0 -> 0.0 million parameters" in line
    assert "% of the encoder's arithmetic" in line


def test_a_corpus_may_be_raw_text(capfd):
    """
    The help of scratch names both layouts.
    """
    assert execute(["scratch", "--help"]) == 0
    assert "SOURCE is a folder of raw text (LANG.txt, with --languages) or of labelled" in " ".join(
        capfd.readouterr().out.split()
    )
