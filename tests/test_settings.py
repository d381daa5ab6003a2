"""Settings: a mapping becomes a frozen dataclass, strictly, and every mistake is named with its place."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from edgeafri.errors import ConfigError
from edgeafri.settings import coerce, did_you_mean, identity, read, setting


@dataclass(frozen=True)
class Inner:
    share: float = setting(0.5, "a share", low=0, high=1)


@dataclass(frozen=True)
class Oven:
    """One of every type of field."""

    name: str = dataclasses.field()
    hours: int = setting(2, "hours of baking", low=1, high=24)
    heat: float = setting(180.0, "degrees", low=0)
    fan: bool = setting(False, "with the fan")
    mode: Literal["top", "bottom", 8] = setting("top", "where the heat comes from")
    trays: tuple[str, ...] = setting((), "what goes in")
    recipe: Path | None = setting(None, "a file")
    limits: dict[str, int] = setting(None, "limits by name")
    inner: Inner = setting(Inner(), "a part")


def test_text_of_a_command_line_holds_names_and_values():
    """
    `--set shrink.latency_of=rpi4=0.5` is how a mapping is written where there is one line.
    """
    assert coerce("a=1, b=2", dict[str, int], "oven.limits") == {"a": 1, "b": 2}
    for wrong in ("a", "=1", "a=1,2"):
        with pytest.raises(ConfigError, match=r"oven\.limits: expected name=value"):
            coerce(wrong, dict[str, int], "oven.limits")


def test_what_is_not_given_has_its_default():
    """
    Only what differs from the defaults has to be written down.
    """
    oven = read(Oven, {"name": "clay"}, "oven")

    assert (oven.hours, oven.fan, oven.trays, oven.recipe, oven.inner) == (2, False, (), None, Inner(0.5))


def test_yaml_values_and_command_line_text_read_alike():
    """
    The same settings come from a recipe with types and from a command line where everything is text.
    """
    typed = {"name": "a", "hours": 3, "heat": 90, "fan": True, "mode": 8, "trays": ["x", "y"], "recipe": "r.txt"}
    text = {"name": "a", "hours": "3", "heat": "90", "fan": "true", "mode": "8", "trays": "x,y", "recipe": "r.txt"}

    assert read(Oven, typed, "oven") == read(Oven, text, "oven")
    assert read(Oven, text, "oven").recipe == Path("r.txt")


def test_a_list_in_text_has_no_spaces_and_no_repeats():
    """
    `--languages "hau, hau,"` is one language, which is not learnt twice as often.
    """
    assert read(Oven, {"name": "a", "trays": "x, y,x,"}, "oven").trays == ("x", "y")


def test_a_list_of_numbers_in_text_keeps_its_repeats():
    """
    `--heads 4,4,2` is a number a layer.
    """

    @dataclass(frozen=True)
    class Layers:
        heads: tuple[float, ...] = setting((), "heads")

    assert read(Layers, {"heads": "4, 4,2"}, "layers").heads == (4.0, 4.0, 2.0)


def test_keys_may_be_written_with_hyphens():
    """
    A command line writes learning-rate, Python writes learning_rate; both name one setting.
    """

    @dataclass(frozen=True)
    class Rate:
        learning_rate: float = setting(0.1, "rate")

    assert read(Rate, {"learning-rate": 1}, "x") == read(Rate, {"learning_rate": 1}, "x") == Rate(1.0)


def test_none_is_text_too_for_what_may_be_none():
    """
    `--set finetune.dropout=none` takes a value back to "not given".
    """
    assert read(Oven, {"name": "a", "recipe": "none"}, "oven").recipe is None
    assert coerce("null", float | None, "x") is None


def test_parts_and_tables_are_read_to_the_bottom():
    """
    A mistake inside a part is named with the whole path to it.
    """
    oven = read(Oven, {"name": "a", "inner": {"share": "0.25"}, "limits": {"top": "3"}}, "oven")

    assert (oven.inner.share, oven.limits) == (0.25, {"top": 3})
    with pytest.raises(ConfigError, match=r"^oven\.inner: unknown setting 'shar'") as error:
        read(Oven, {"name": "a", "inner": {"shar": 1}}, "oven")
    assert error.value.hint == "Did you mean 'share'? Known: share."


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"name": "a", "huors": 1}, "oven: unknown setting 'huors'", "Did you mean 'hours'? Known: fan, "),
        ({"name": "a", "xyzzy": 1}, "oven: unknown setting 'xyzzy'", "Known: fan, heat, hours, "),
        ({}, "oven: 'name' is missing", "Add a line 'name: ...'."),
        ({"name": "a", "hours": 1.5}, "oven.hours: expected a whole number, got 1.5", "Give a whole number."),
        ({"name": "a", "hours": True}, "oven.hours: expected a whole number, got True", "Give a whole number."),
        ({"name": "a", "hours": "two"}, "oven.hours: expected a whole number, got 'two'", "Give a whole number."),
        ({"name": "a", "hours": 25}, "oven.hours: 25 is out of range", "Use a value from 1 to 24."),
        ({"name": "a", "heat": -1}, "oven.heat: -1.0 is out of range", "Use a value from 0 and up."),
        ({"name": "a", "heat": False}, "oven.heat: expected a number, got False", "Give a number."),
        ({"name": "a", "fan": "maybe"}, "oven.fan: expected true or false, got 'maybe'", "Give true or false."),
        ({"name": ["a"]}, "oven.name: expected text, got ['a']", "Give text."),
        ({"name": "a", "mode": "botom"}, "oven.mode: 'botom' is not one of its values", "Did you mean 'bottom'? "),
        ({"name": "a", "trays": 3}, "oven.trays: expected a list, got 3", "Write it as [a, b] or a,b."),
        ({"name": "a", "limits": [1]}, "oven.limits: expected key: value lines, got [1]", "Write one 'key: value'"),
        ({"name": "a", "inner": 3}, "oven.inner: expected key: value lines, got 3", "Known keys: share."),
        ({"name": "a", "recipe": ["x"]}, "oven.recipe: expected a path, got ['x']", "Give a path."),
    ],
)
def test_every_mistake_says_where_what_and_what_to_do(values: dict[str, Any], message: str, hint: str):
    """
    A wrong key, type, range or choice is refused with its place, what was found, and the next step.
    """
    with pytest.raises(ConfigError) as error:
        read(Oven, values, "oven")

    assert error.value.message == message
    assert error.value.hint.startswith(hint)
    assert error.value.exit_code == 2


def test_a_list_in_the_place_of_settings_is_refused():
    """
    `- quantize: [int8]` is a slip of YAML, not a crash.
    """
    with pytest.raises(ConfigError, match=r"quantize: expected key: value lines, got \['int8'\]") as error:
        read(Inner, ["int8"], "quantize")  # type: ignore[arg-type]

    assert error.value.hint == "Known keys: share."


@pytest.mark.parametrize("value", ["nan", float("nan"), float("inf"), "inf"])
@pytest.mark.parametrize("key", ["heat", "hours"])
def test_what_is_not_a_finite_number_is_refused(key: str, value: Any):
    """
    NaN compares false with every limit, so it must not slip through a range check.
    """
    with pytest.raises(ConfigError, match=f"oven.{key}: "):
        read(Oven, {"name": "a", key: value}, "oven")


def test_identity_counts_a_path_by_its_content():
    """
    A cache key must not change with a file's name, and must change with what is in it.
    """
    oven = read(Oven, {"name": "a", "recipe": "one.txt", "trays": "x", "inner": {"share": 1}}, "oven")
    found = identity(oven, lambda path: f"hash of {path.name}")

    assert found["recipe"] == {"sha256": "hash of one.txt"}
    assert (found["trays"], found["inner"], found["hours"]) == (["x"], {"share": 1.0}, 2)


def test_the_nearest_name_is_suggested_and_all_are_listed():
    """
    One look is enough to go on, whether the name was near or not.
    """
    assert did_you_mean("Quantise", ["trim", "quantize"]) == "Did you mean 'quantize'? Known: quantize, trim."
    assert did_you_mean("export_onnx", ["export-onnx"]).startswith("Did you mean 'export-onnx'?")
    assert did_you_mean("zebra", ["trim"]) == "Known: trim."
    assert did_you_mean("zebra", []) == "Known: none."
