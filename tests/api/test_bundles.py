"""A bundle in Python: loaded once, it predicts here, and is evaluated, verified and timed in a fresh process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgeafri
from edgeafri.cli import execute
from edgeafri.errors import ArtifactError, DataError, EdgeAfriError, UsageError

ROOT = Path(__file__).parents[2]
TEXT = "Rais Amina Juma alizuru Mombasa Jumatatu."


def test_one_text_is_one_text(bundle: Path):
    """
    It is not taken apart letter by letter, and gives one result; a list gives a list in its order.
    """
    opened = edgeafri.load(bundle)
    one, several = opened.predict(TEXT), opened.predict([TEXT, "Juma 12"])

    assert one.text == TEXT
    assert one.entities
    assert [result.text for result in several] == [TEXT, "Juma 12"]
    assert several[0] == one
    assert opened.predict([]) == []
    assert opened.predict(text for text in (TEXT,)) == [one]


def test_predictions_are_those_of_the_command(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """
    The command prints the JSON of what the face returns; entities keep the offsets of the text as it was given.
    """
    assert execute(["run", str(bundle), TEXT, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    found = edgeafri.load(bundle).predict(TEXT)

    assert printed["results"] == [found.to_json()]
    assert edgeafri.load(bundle).run([TEXT]).to_json() == printed
    assert all(TEXT[item.start : item.end] == item.text for item in found.entities)


def test_whole_texts_get_a_label(text_bundle: Path):
    """
    With the probability of every label.
    """
    found = edgeafri.load(text_bundle).predict("Rais Amina 30")

    assert found.label in found.labels
    assert found.score == max(found.labels.values())


def test_quality_is_that_of_the_command(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]):
    """
    Per language, with their mean; languages as a list, or as the command takes them.
    """
    assert execute(["eval", str(bundle), "--data", str(data), "--lang", "swa", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    opened = edgeafri.load(bundle)
    found = opened.evaluate(str(data), languages=["swa"])

    assert found.quality["swa"].f1 == printed["quality"]["swa"]["f1"]
    assert found.average_f1 == printed["average_f1"]
    assert list(opened.evaluate(data, languages="swa,hau").quality) == ["swa", "hau"]
    assert set(opened.evaluate(data, languages="all").quality) == {"swa", "hau"}


def test_a_bundle_verifies_and_is_timed(bundle: Path):
    """
    Both in fresh processes, whose memory is their own.
    """
    opened = edgeafri.load(bundle, threads=1)
    found = opened.benchmark(seq_len=16, runs=3, warmup=1)

    assert opened.verify().passed
    assert (found.bundle_id, found.threads, found.seq_len, found.runs) == (opened.id, 1, 16, 3)
    assert opened.benchmark(threads=2, seq_len=16, runs=2, warmup=0).threads == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda opened: opened.predict(7), "texts: 7 is not a list of text"),
        (lambda opened: opened.predict(["a", None]), r"texts\[1\]: None is not text"),
        (lambda opened: opened.predict({"Juma": 1}), "texts: {'Juma': 1} is not a list of text"),
        (lambda opened: opened.predict("Juma \ud83d"), r"texts\[0\]: half of a character"),
        (lambda opened: opened.predict(b"Juma"), "texts: b'Juma' is not a list of text"),
        (lambda opened: opened.evaluate("data", languages=[]), "no language is named"),
        (lambda opened: opened.evaluate("data", languages=[1]), r"languages\[0\]: 1 is not text"),
        (lambda opened: opened.evaluate(7), "data: 7 is not a path"),
        (lambda opened: opened.benchmark(runs=0), "runs: 0 is not a whole number of 1 or more"),
        (lambda opened: opened.benchmark(threads=1.5), "threads: 1.5 is not a whole number from 1 to 64"),
        (lambda opened: opened.benchmark(seq_len=2), "seq_len: 2 is not a whole number of 3 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(bundle: Path, wrong, words: str):
    """
    The guards stand here and not in the command line's option types.
    """
    with pytest.raises(UsageError, match=words):
        wrong(edgeafri.load(bundle))


def test_a_failure_says_what_to_do_next(bundle: Path, tmp_path: Path):
    """
    The next step is a note of the exception, which a notebook and a traceback show.
    """
    with pytest.raises(ArtifactError) as caught:
        edgeafri.load(tmp_path)
    assert caught.value.__notes__ == [caught.value.hint]

    with pytest.raises(DataError):
        edgeafri.load(bundle).evaluate(tmp_path / "nowhere")


def test_paths_are_text_or_path_likes(bundle: Path, data: Path):
    """
    A bundle stands wherever a path does.
    """
    opened = edgeafri.load(str(bundle))

    assert os.fspath(opened) == str(bundle)
    assert edgeafri.load(opened).id == opened.id
    assert opened.evaluate(os.fspath(data), languages="swa").quality


def test_results_render_in_a_notebook(bundle: Path, data: Path):
    """
    As tables, every text escaped.
    """
    opened = edgeafri.load(bundle)
    found = opened.predict("<b>Rais</b> Amina")._repr_html_()
    quality = opened.evaluate(data, languages=["swa"])._repr_html_()

    assert "<td" in opened._repr_html_()
    assert "<b>" not in found
    assert "&lt;b&gt;" in found
    assert '<td style="text-align:left">swa</td>' in quality


def test_the_names_are_there_without_their_weight():
    """
    `import edgeafri` loads nothing heavy, `dir` and `help` know every name, and a name that is not there says so.
    """
    script = (
        "import sys, edgeafri\n"
        "assert set(edgeafri.__all__) <= set(dir(edgeafri))\n"
        "print(sorted(set(sys.modules) & {'numpy', 'click', 'yaml', 'onnxruntime', 'torch', 'edgeafri.api.bundles'}))\n"
        "for name in edgeafri.__all__: assert getattr(edgeafri, name).__doc__, name\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers', 'onnx', 'onnxruntime'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == ["[]", "[]"]
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        edgeafri.lode  # noqa: B018  # what is tested


def test_errors_have_one_base(tmp_path: Path):
    """
    A caller catches one class.
    """
    with pytest.raises(EdgeAfriError):
        edgeafri.load(tmp_path / "nothing")
