"""Single steps in Python: a function for every stage, with the settings, the guards and the result of its command."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import edgeafri
from edgeafri.api import steps
from edgeafri.api.stub import stub
from edgeafri.artifact import load_artifact
from edgeafri.errors import ConfigError, DataError, StorageError
from edgeafri.menu import MENU, stage
from edgeafri.menu.settings import TrimSettings


@pytest.mark.parametrize("entry", MENU, ids=lambda entry: entry.name)
def test_every_stage_has_a_function_that_teaches(entry):
    """
    Its signature and help are made from the settings class; a new stage has one without a word here.
    """
    name = "make_bundle" if entry.name == "bundle" else entry.name.replace("-", "_")
    function = getattr(edgeafri, name)
    parameters = inspect.signature(function).parameters

    assert list(parameters)[:2] == ["source", "out"]
    assert set(entry.settings.__dataclass_fields__) < set(parameters)
    assert entry.about in function.__doc__
    assert all(f"    {field}: " in function.__doc__ for field in entry.settings.__dataclass_fields__)


def test_a_step_makes_an_artifact_and_typed_facts(teacher_folder: Path, data: Path, tmp_path: Path, digests):
    """
    Paths as text, languages as a list; the result stands wherever a path does.
    """
    made = edgeafri.trim(str(teacher_folder), str(tmp_path / "small"), languages=["swa", "hau"], data=str(data))
    sealed = load_artifact(Path(made), digests)

    assert made.id == sealed.id
    assert made.facts.vocabulary == sealed.manifest.facts["vocabulary"]
    assert "vocabulary" in made._repr_html_()
    assert sealed.manifest.settings["languages"] == ["swa", "hau"]


def test_a_lone_language_is_one_language(teacher_folder: Path, data: Path, tmp_path: Path, digests):
    """
    'swa' is not s, w and a.
    """
    made = edgeafri.trim(teacher_folder, tmp_path / "small", languages="swa", data=data)

    assert load_artifact(made.path, digests).manifest.languages == ("swa",)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"kept": "top"}, ConfigError, "unknown setting 'kept'"),
        ({"keep": "top"}, ConfigError, "keep 'top' needs a size"),
        ({"size": 10**9, "keep": "top", "languages": ["swa"], "text": "nowhere"}, DataError, "no such data folder"),
    ],
)
def test_settings_are_those_of_the_recipe(teacher_folder: Path, tmp_path: Path, settings, error, words: str):
    """
    One settings class checks them, whoever gives them.
    """
    with pytest.raises(error, match=words):
        edgeafri.trim(teacher_folder, tmp_path / "small", **settings)


def test_nothing_is_written_over(teacher_folder: Path, tmp_path: Path):
    """
    The new folder must not exist.
    """
    with pytest.raises(StorageError, match="already there"):
        edgeafri.trim(teacher_folder, tmp_path)


def test_defaults_are_those_of_the_settings_class():
    """
    They stand in the signature, not in the function.
    """
    parameters = inspect.signature(steps.stage_function(stage("trim"))).parameters

    assert parameters["keep"].default == TrimSettings().keep
    assert parameters["coverage"].default == TrimSettings().coverage


def test_what_type_checkers_read_is_up_to_date():
    """
    It is made from the same classes: python -m edgeafri.api.stub > edgeafri/__init__.pyi.
    """
    assert Path(edgeafri.__file__).with_suffix(".pyi").read_text("utf-8") == stub()


def test_a_type_checker_knows_the_names(tmp_path: Path):
    """
    What a build gives has its type, and a setting that is misspelt is seen before it runs.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "import edgeafri\n"
        "reveal_type(edgeafri.load('b').predict(['a']))\n"
        "reveal_type(edgeafri.build('m', target='rpi4').quality['swa'].drop)\n"
        "edgeafri.trim('m', 'out', languages='swa', kept='top')\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(script)]
    said = subprocess.run(command, cwd=Path(edgeafri.__file__).parents[1], capture_output=True, text=True).stdout

    assert "list[edgeafri.documents.answers.TextEntities]" in said
    assert 'Revealed type is "float"' in said or 'Revealed type is "builtins.float"' in said
    assert 'Unexpected keyword argument "kept" for "trim"' in said
