"""Device profiles: every file reads, every number has its source, every mistake in a file is named."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeafri.device import profile
from edgeafri.device.profile import facts, profile_folders, profile_names, read_profile
from edgeafri.errors import ConfigError, UsageError
from edgeafri.report.devices_page import devices_page

ROOT = Path(__file__).parents[2]
SPEED = {"slow_one_core": None, "slow_all_cores": None, "fast": None}


@pytest.fixture(autouse=True)
def no_folder_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EDGEAFRI_PROFILES", raising=False)


@pytest.fixture
def values() -> dict[str, Any]:
    """
    A phone with two kinds of core and nothing measured: the least that a profile may say.
    """
    budget = {"seq_len": 128, **{key: assumed(100, "MB") for key in ("bundle_mb", "peak_rss_mb")}}
    return {
        "name": "phone",
        "title": "A phone",
        "soc": "T606",
        "isa": "neon",
        "threads": 2,
        "recipe": "faithful",
        "cores": [
            {"type": "cortex-a75", "count": 2, "ghz": sourced(1.6, "GHz"), "fp32": SPEED, "int8": SPEED},
            {"type": "cortex-a55", "count": 6, "ghz": sourced(1.6, "GHz"), "fp32": SPEED, "int8": SPEED},
        ],
        "memory": {"free": None, "copy": None, "read": None},
        "budget": budget | {key: assumed(100, "ms") for key in ("p95_ms", "load_ms")},
        "sources": {"maker": "the maker's page"},
    }


def sourced(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "source": "maker"}


def assumed(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "assumed": "a guess for this test"}


def written(folder: Path, values: Any, name: str = "phone") -> Path:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(values), "utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_of_the_project_reads_and_names_a_recipe_there_is(name: str):
    """
    A device that is listed can be built for.
    """
    profile = read_profile(name)
    named = [profile.recipe, *([profile.recipe_with_data] if profile.recipe_with_data else [])]

    assert all((ROOT / "edgeafri" / "builder" / "recipes" / f"{recipe}.yaml").is_file() for recipe in named)
    assert all(bool(fact.source) != bool(fact.assumed) for _, fact, _ in facts(profile, name))


def test_the_pi_4_has_the_published_numbers():
    """
    The figures that the estimate stands on, as their sources give them.
    """
    profile = read_profile("rpi4")
    core = profile.cores[0]

    assert (core.type, core.count, core.ghz.value, profile.isa) == ("cortex-a72", 4, 1.8, "neon")
    # 13.04 GMAC in 6605 ms on one thread and 1872 ms on four, at 1.8 GHz; the profile keeps two digits
    assert core.fp32.slow_one_core.value == pytest.approx(13.04e9 / 6.605 / 1.8e9, rel=0.01)
    assert core.fp32.slow_all_cores.value == pytest.approx(13.04e9 / 1.872 / 1.8e9 / 4, rel=0.01)
    # 54.4 M vector instructions of four lanes in 37 ms
    assert core.fp32.fast.value == pytest.approx(54.4e6 * 4 / 0.037 / 1.8e9, rel=0.01)
    assert core.int8.slow_one_core is None


def test_a_device_with_two_kinds_of_core_and_nothing_measured_reads(tmp_path: Path, values: dict[str, Any]):
    """
    Unknown numbers stay None: they are never filled in.
    """
    profile = read_profile("phone", [written(tmp_path, values)])

    assert [(cluster.type, cluster.count) for cluster in profile.cores] == [("cortex-a75", 2), ("cortex-a55", 6)]
    assert profile.memory.free is None
    assert profile.cores[0].fp32.fast is None


def test_names_come_from_all_folders_and_the_first_folder_wins(
    tmp_path: Path, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """
    A user's own file is found beside the project's, and may replace one of them. A folder is no profile.
    """
    (tmp_path / "folder.yaml").mkdir()
    written(tmp_path, values)
    written(tmp_path, values | {"name": "rpi4", "title": "My Pi"}, "rpi4")
    monkeypatch.setenv("EDGEAFRI_PROFILES", str(tmp_path))

    assert profile_folders()[0] == tmp_path
    assert {"phone", "rpi4"} <= set(profile_names())
    assert "folder" not in profile_names()
    assert read_profile("rpi4").title == "My Pi"


def test_an_installed_package_reads_the_profiles_packed_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    A wheel has no folder beside the package; its profiles lie inside.
    """
    (tmp_path / "edgeafri" / "profiles").mkdir(parents=True)
    monkeypatch.setattr(profile, "__file__", str(tmp_path / "edgeafri" / "device" / "profile.py"))

    assert profile_folders() == (tmp_path / "edgeafri" / "profiles",)


def test_an_unknown_device_is_refused_with_the_nearest_name():
    """
    A typo costs one line, not a search.
    """
    with pytest.raises(UsageError, match="no device 'rpi-4'") as error:
        read_profile("rpi-4")

    assert error.value.hint.startswith("Did you mean 'rpi4'? Known: ")
    assert error.value.hint.endswith("EDGEAFRI_PROFILES names a folder of your own.")


def test_a_folder_of_profiles_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    """
    A wrong EDGEAFRI_PROFILES must not silently hide the user's devices.
    """
    monkeypatch.setenv("EDGEAFRI_PROFILES", "/no/such/folder")

    with pytest.raises(UsageError, match="no folder '/no/such/folder' of device profiles") as error:
        profile_names()

    assert error.value.hint == "Create it, or change EDGEAFRI_PROFILES."


def changed(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """
    `values` with the one at `path` replaced, or removed when it is "REMOVED".
    """
    part: Any = values
    *way, last = path.split(".")
    for key in way:
        part = part[int(key)] if key.isdigit() else part[key]
    if value == "REMOVED":
        del part[last]
    else:
        part[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "message", "hint"),
    [
        ("cores.0.ghz.unit", "MHz", r"cores\[0\].ghz: its unit must be GHz, got 'MHz'", "Give the value in GHz."),
        ("memory.copy", sourced(2, "GB/s"), "memory.copy: its unit must be MB/s, got 'GB/s'", "in MB/s."),
        ("budget.p95_ms.unit", "s", "budget.p95_ms: its unit must be ms, got 's'", "in ms."),
        ("budget.p95_ms", "REMOVED", "budget: 'p95_ms' is missing", "Add a line 'p95_ms: ...'."),
        ("memory.free", "REMOVED", "memory: 'free' is missing", "Add a line 'free: ...'."),
        ("title", "REMOVED", "'title' is missing", "Add a line"),
        ("cores.1.ghz.source", "REMOVED", r"cores\[1\].ghz: give either 'source' or 'assumed'", "say why"),
        ("cores.1.ghz.assumed", "so", r"cores\[1\].ghz: give either 'source' or 'assumed'", "say why"),
        ("budget.bundle_mb.assumed", True, "bundle_mb: 'assumed' needs its reason", "and why"),
        ("cores.0.ghz.source", "makr", r"cores\[0\].ghz: no source 'makr'", "Did you mean 'maker'?"),
        ("cores.0.ghz", 1.6, "ghz: expected key: value lines, got 1.6", "Known keys: value, unit, source, assumed."),
        ("cores.0.ghz.value", "fast", "ghz.value: expected a number, got 'fast'", "Give a number."),
        ("cores.0.ghz.value", -1.6, "ghz: -1.6 GHz is not a possible value", "Write null where it is unknown."),
        ("cores.0.ghz.value", float("nan"), "ghz.value: expected a number, got nan", "Give a number"),
        ("isa", "neo", "isa: 'neo' is not one of its values", "Did you mean 'neon'?"),
        ("bugdet", {}, "unknown setting 'bugdet'", "Did you mean 'budget'?"),
        ("name", "fone", "the name is 'fone'", "Name it 'phone', as the file."),
        ("cores", [], "cores: no cores are listed", "fastest first"),
        ("cores.0.count", 0, "cores: no cores are listed", "its count"),
        ("threads", 9, "threads: 9 on 8 cores", "Use 1 to 8."),
        ("threads", 0, "threads: 0 on 8 cores", "Use 1 to 8."),
        ("budget.seq_len", 0, "budget.seq_len: 0 subwords", "Use 1 and up."),
        ("cores.0.part", 4096, r"cores\[0\].part: 0x1000 is not the number of a core", "CPU part"),
        ("cores.0.part", "big", r"cores\[0\].part: expected a whole number, got 'big'", "Give a whole number."),
        ("cores.0.features", "fp asimd", r"cores\[0\].features: 'fp asimd' is not one word", "[fp, asimd]"),
        ("cores.0.features", ["fp", "a\nb"], r"cores\[0\].features: 'a\nb' is not one word", "[fp, asimd]"),
        ("cores.0.features", {"fp": 1}, r"cores\[0\].features: expected a list", "[a, b]"),
        ("calibrations", [], "'calibrations' are not written here", "edgeafri calibrate"),
    ],
)
def test_a_mistake_in_a_profile_is_named_where_it_stands(
    tmp_path: Path, values: dict[str, Any], path: str, value: Any, message: str, hint: str
):
    """
    Wrong unit, missing field, number without a source: the file and the place in it, and what to write instead.
    """
    folder = written(tmp_path, changed(values, path, value))

    with pytest.raises(ConfigError, match=message) as error:
        read_profile("phone", [folder])

    assert str(tmp_path / "phone.yaml") in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "not readable as YAML"),
        (b"name: \xff\xfe", "not readable as YAML"),
        (b"name: 2020-13-45", "not readable as YAML"),
        (b"[" * 4000, "not readable as YAML"),
        (b"", "expected key: value lines, got an empty file"),
        (b"- rpi4", "expected key: value lines, got a list"),
        (b"rpi4", "expected key: value lines, got a str"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, content: bytes, message: str):
    """
    Broken YAML, a wrong encoding, an empty file or a list: one message, never a traceback.
    """
    (tmp_path / "phone.yaml").write_bytes(content)

    with pytest.raises(ConfigError, match=message):
        read_profile("phone", [tmp_path])


def test_importing_profiles_does_not_load_yaml():
    """
    The command line starts without reading any profile, so it must not pay for the parser.
    """
    code = "import sys, edgeafri.device.profile; print('yaml' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout == "False\n"


def test_dotprod_needs_the_word_for_it_among_the_features(tmp_path: Path, values: dict[str, Any]):
    """
    Otherwise an emulator would not run what the bundle was quantized for. Features that are not known say nothing.
    """
    values["isa"] = "dotprod"

    assert read_profile("phone", [written(tmp_path, values)]).cores[0].features == ()
    values["cores"][0]["features"] = ["fp", "asimd"]
    with pytest.raises(ConfigError, match="no asimddp, but the isa is dotprod") as error:
        read_profile("phone", [written(tmp_path, values)])

    assert "/proc/cpuinfo" in error.value.hint


def test_part_and_features_are_optional_and_read_as_they_stand(tmp_path: Path, values: dict[str, Any]):
    """
    A number in base sixteen is a number.
    """
    values["cores"][0] |= {"part": 0xD0A, "features": ["fp", "asimd"]}
    big, little = read_profile("phone", [written(tmp_path, values)]).cores

    assert (big.part, big.features) == (0xD0A, ("fp", "asimd"))
    assert (little.part, little.features) == (None, ())


def test_a_clock_may_be_unknown(tmp_path: Path, values: dict[str, Any]):
    """
    Then there is no estimate, and no guess.
    """
    values["cores"][0]["ghz"] = None

    assert read_profile("phone", [written(tmp_path, values)]).cores[0].ghz is None


def test_several_folders_of_the_users_are_searched_in_turn(tmp_path: Path, values: dict[str, Any]):
    """
    The first one that has the device decides.
    """
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        written(folder, values | {"title": folder.name})
    written(second, values | {"name": "other"}, "other")

    assert read_profile("phone", [first, second]).title == "first"
    assert read_profile("other", [first, second]).name == "other"
    assert {"phone", "other", "rpi4"} <= set(profile_names([first, second]))


@pytest.mark.parametrize(
    ("name", "core", "milliseconds", "kind", "work"),
    [
        # millions of vector instructions times their lanes; int8 without the 4.1 M in fp32
        ("rpi3", 0, 97, "fp32", 54.4 * 4),
        ("rpi5", 0, 14, "fp32", 54.4 * 4),
        ("rpi3", 0, 88, "int8", 25.2 * 8),
        ("rpi5", 0, 6.5, "int8", 12.6 * 16),
    ],
)
def test_the_fast_end_is_that_of_the_counted_instructions(
    name: str, core: int, milliseconds: float, kind: str, work: float
):
    """
    4 layers x 256 at 64 tokens, one thread.
    """
    cluster = read_profile(name).cores[core]
    rest = 4.1 * 4 / (cluster.fp32.fast.value * cluster.ghz.value) if kind == "int8" else 0

    # 0.5 %: the profile keeps three digits
    fast = getattr(cluster, kind).fast.value
    assert fast == pytest.approx(work / (milliseconds - rest) / cluster.ghz.value, rel=0.005)


@pytest.mark.parametrize("name", profile_names())
def test_a_budget_of_memory_fits_into_what_is_free(name: str):
    """
    What is soldered on is of no use to a process.
    """
    profile = read_profile(name)

    assert profile.memory.free is None or profile.budget.peak_rss_mb.value < profile.memory.free.value


def test_the_page_of_devices_is_up_to_date():
    """
    It is made from the profiles: edgeafri devices --markdown > profiles/DEVICES.md.
    """
    page = devices_page(read_profile(name) for name in profile_names())

    assert (ROOT / "profiles" / "DEVICES.md").read_text("utf-8") == page


def test_the_page_has_every_number_its_source_and_what_is_not_known(tmp_path: Path, values: dict[str, Any]):
    """
    A row each, the budgets in one table, and no cell that breaks it.
    """
    values["budget"]["load_ms"]["assumed"] = "this | that"
    page = devices_page([read_profile("phone", [written(tmp_path, values)])])

    assert (
        "| [phone](#phone) | A phone | 2 x cortex-a75 at 1.6 GHz, 6 x cortex-a55 at 1.6 GHz | neon | not known |"
        in page
    )
    assert "| `cores[0].ghz` | 1.6 | GHz | `maker` |" in page
    assert "| `memory.free` | not known | MB |  |" in page
    assert "| `budget.load_ms` | 100 | ms | assumed: this \\| that |" in page
    assert "- `maker`: the maker's page" in page
    assert "- 2 x cortex-a75 at 1.6 GHz: part not known, features not known" in page
