"""The scripts of benchmarks/ and android-demo/vectors: they run nowhere else, so here they at least start."""

import ast
import runpy
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeafri.data.dataset import Sentence, Split

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
EVERY = [
    *SCRIPTS,
    *sorted((ROOT / "benchmarks").glob("*/*.py")),
    *(ROOT / "android-demo" / "vectors").glob("*.py"),
]


def named(script: Path) -> str:
    return script.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_a_script_prints_its_help(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    All that it imports at the top is there, and its options are explained.
    """
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(script.parent), str(ROOT), *sys.path])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")

    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("script", EVERY, ids=named)
def test_what_a_script_imports_of_ours_is_there(script: Path):
    """
    Inside functions too: a name that was changed would be found hours into a measurement.
    """
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "edgeafri":
            module = import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of benchmarks/peers, by its name."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: import_module(f"benchmarks.peers.{name}")


def test_a_form_of_a_peer_has_a_module_and_an_environment(peers: Callable[[str], ModuleType]):
    """
    The table is data: a misspelt name would be found after the forms before it are made.
    """
    table = peers("table")

    assert all(find_spec(f"benchmarks.peers.{form.peer}") for form in table.FORMS)
    assert {form.home for form in table.FORMS} - {None} == set(table.ENVIRONMENTS)


def test_flips_are_the_share_of_words_with_another_label(peers: Callable[[str], ModuleType]):
    """
    One of four words changes its label: 25 %. It was the only entity, so all 100 points of F1 are lost.
    """
    sentences = (Sentence(("a", "b"), ("B-PER", "O")), Sentence(("c", "d"), ("O", "O")))
    split = Split("swa", "test", sentences, {})
    base = {"swa": [["B-PER", "O"], ["O", "O"]]}
    mine = {"swa": [["O", "O"], ["O", "O"]]}

    found = peers("quality").compared([split], base, mine)

    assert found["flips"] == {"swa": 25.0}
    assert found["lost"] == {"swa": 100.0}
    assert found["f1"] == {"swa": 0.0}


def test_the_page_names_the_worst_language(peers: Callable[[str], ModuleType]):
    """
    A mean hides a language that loses, so the worst stands beside it; a form that was not timed has a dash.
    """
    row = {
        "same_weights": True,
        "activations": "one scale per token",
        "file_mb": 38.1,
        "f1": {"hau": 80.0, "kin": 70.0},
        "lost": {"hau": -0.5, "kin": 1.5},
        "lost_interval": [0.1, 0.9],
        "flips": {"hau": 0.25, "kin": 0.75},
    }

    table, *_ = peers("page").summary({"forms": {"mine": row}})

    told = "| mine | one scale per token | 38.1 | - | - | 75.00 | 0.50 (0.10 to 0.90) | 1.50 kin | 0.50 | 0.75 kin |"
    assert table.splitlines()[-1] == told


def test_a_graph_is_given_what_it_asks_for(peers: Callable[[str], ModuleType]):
    """
    BERT's graph has an input more than XLM-RoBERTa's: the type of every token.
    """
    ids = np.array([[0, 7, 2]])
    feed = peers("inputs").graph_feed

    assert set(feed(ids, np.ones_like(ids), ["input_ids", "attention_mask"])) == {"input_ids", "attention_mask"}
    assert feed(ids, np.ones_like(ids), ["token_type_ids"])["token_type_ids"].tolist() == [[0, 0, 0]]


def test_rows_of_one_length_come_from_all_of_the_text(peers: Callable[[str], ModuleType]):
    """
    Neural Compressor smooths with rows of one length: the first and the last of the text are among them.
    """
    module = peers("neural_compressor")
    count = 3 * module.MOST * module.LENGTH
    text = [np.arange(start, start + 10)[None] for start in range(0, count, 10)]

    rows = module.equal_rows(text)

    assert {row.shape for row in rows} == {(1, module.LENGTH)}
    assert len(rows) == module.MOST
    assert rows[0][0, 0] == 0
    assert rows[-1][0, -1] == count - 1


def test_forms_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    Before anything is installed, with the names that there are.
    """
    script = ROOT / "benchmarks" / "peers.py"
    given = ["--teacher", "t", "--data", "d", "--lang", "swa", "--forms", "pytorch-int8,onx"]
    monkeypatch.setattr(sys, "argv", [str(script), *given])
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])

    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")

    assert ended.value.code == 2
    assert "no form onx; there are bitsandbytes-int8" in capsys.readouterr().err
