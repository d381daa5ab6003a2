"""Recipes: an ordered list of steps from YAML, and what one command line changes in it."""

from pathlib import Path

import pytest

from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step, override, read_change, read_recipe, recipe_names
from edgeafri.errors import ConfigError, UsageError

EXAMPLE = "See `edgeafri recipes faithful` for one that works."


def written(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text, "utf-8")
    return str(file)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_project_can_be_planned(name: str):
    """
    Stages, settings and the order of the steps in our own files are right.
    """
    recipe = read_recipe(name)

    assert recipe.about
    assert [job.stage.name for job in plan_jobs(recipe.steps, "torch", {})] == [step.stage for step in recipe.steps]


def test_the_faithful_recipe_trains_nothing():
    """
    It is the default of a device: what it does to a model is to be small, never to learn.
    """
    assert [step.stage for step in read_recipe("faithful").steps] == [
        "trim",
        "export-onnx",
        "optimize",
        "quantize",
        "bundle",
    ]


def test_a_file_of_the_users_reads_like_our_own(tmp_path: Path):
    """
    A step is a name, or a name with the settings that differ.
    """
    recipe = read_recipe(written(tmp_path, "about: mine\nsteps:\n- trim\n- quantize: {weights: float32}\n- bundle:\n"))

    assert (recipe.name, recipe.about) == ("mine", "mine")
    assert recipe.steps == (Step("trim"), Step("quantize", {"weights": "float32"}), Step("bundle"))


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    """
    Names and files are both possible, and the hint says so.
    """
    with pytest.raises(UsageError, match="no recipe 'faithfull'") as error:
        read_recipe("faithfull")

    assert error.value.hint.startswith("Did you mean 'faithful'? Known: ")
    assert error.value.hint.endswith(" Or give a .yaml file.")


def test_a_recipe_file_that_is_not_there_is_named(tmp_path: Path):
    """
    A path that ends in .yaml is a path, whatever our own recipes are called.
    """
    with pytest.raises(UsageError, match=r"no recipe '.*gone\.yaml'"):
        read_recipe(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("steps: [trim", "not readable as YAML", "Check its indentation and encoding."),
        ("steps: 2020-13-45", "not readable as YAML", "Check its indentation and encoding."),
        ("[" * 4000, "not readable as YAML", "Check its indentation and encoding."),
        ("- trim\n", "a recipe needs a list 'steps'", EXAMPLE),
        ("about: nothing\n", "a recipe needs a list 'steps'", EXAMPLE),
        ("steps: []\n", "a recipe needs a list 'steps'", EXAMPLE),
        ("steps: trim\n", "a recipe needs a list 'steps'", EXAMPLE),
        ("", "a recipe needs a list 'steps'", EXAMPLE),
        ("steps: [trim]\nabuot: x\n", "unknown key 'abuot'", "Did you mean 'about'? Known: about, steps."),
        ("steps: [3]\n", "not a step: 3", "Write '- trim' or '- quantize: {weights: int8}'."),
        ("steps:\n- trim: {}\n  bundle: {}\n", "not a step: {'trim': {}, 'bundle': {}}", "Write '- trim'"),
        ("steps:\n- quantize: int8\n", "not a step: {'quantize': 'int8'}", "Write '- trim'"),
    ],
)
def test_a_file_that_is_no_recipe_says_why(tmp_path: Path, text: str, message: str, hint: str):
    """
    Every slip of YAML is named with its file and answered with an example.
    """
    name = written(tmp_path, text)

    with pytest.raises(ConfigError) as error:
        read_recipe(name)
    assert error.value.message.startswith(f"{name}: {message}")
    assert error.value.hint.startswith(hint)


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path):
    """
    A file saved by an old editor is told as such, not as a crash.
    """
    (tmp_path / "mine.yaml").write_bytes("about: é\nsteps: [trim]\n".encode("latin-1"))

    with pytest.raises(ConfigError, match="not readable as YAML"):
        read_recipe(str(tmp_path / "mine.yaml"))


def test_assignments_change_one_setting_and_nothing_else():
    """
    The recipe's own settings of that step stay; later assignments win; the steps given are not touched.
    """
    steps = (Step("trim"), Step("quantize", {"weights": "int8"}))
    assignments = ["quantize.embeddings=float32", "quantize.weights=int8", "quantize.weights=float32"]
    changed = override(steps, map(read_change, assignments))

    assert changed == (Step("trim"), Step("quantize", {"weights": "float32", "embeddings": "float32"}))
    assert steps[1].settings == {"weights": "int8"}


def test_an_assignment_reaches_every_step_of_that_name():
    """
    A recipe may hold a stage twice; a hyphen in a key is the underscore it stands for; the value may hold a sign.
    """
    changed = override((Step("finetune"), Step("trim"), Step("finetune")), [read_change("finetune.learning-rate=a=b")])

    assert [dict(step.settings) for step in changed] == [{"learning_rate": "a=b"}, {}, {"learning_rate": "a=b"}]


@pytest.mark.parametrize("assignment", ["quantize", "quantize.weights", "weights=int8", ".weights=int8", "quantize.=1"])
def test_an_assignment_of_another_form_is_refused(assignment: str):
    """
    The form is shown with an example that works.
    """
    with pytest.raises(UsageError, match=r"not of the form stage\.key") as error:
        override((Step("quantize"),), [read_change(assignment)])

    assert assignment.partition("=")[0] in error.value.message
    assert error.value.hint == "Example: --set quantize.weights=int8"


def test_an_assignment_to_a_step_that_is_not_there_is_refused():
    """
    A setting that nobody reads must not be swallowed.
    """
    with pytest.raises(UsageError, match="this recipe has no step 'quantise'") as error:
        override((Step("trim"), Step("quantize")), [("quantise.weights", "int8")])

    assert error.value.hint == "Did you mean 'quantize'? Known: quantize, trim."
