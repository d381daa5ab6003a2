"""The menu: what an entry says of its stage, and all that a new stage takes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edgeafri import menu
from edgeafri.artifact import Artifact
from edgeafri.errors import UsageError
from edgeafri.menu import MENU, Stage
from edgeafri.menu.settings import DistillSettings, FinetuneSettings, PruneSettings, ShrinkSettings, StageSettings

ROOT = Path(__file__).parents[2]
METHOD = '''"""mirror: a method that writes down what it was given."""

from pathlib import Path

from edgeafri.artifact import Artifact
from edgeafri.menu.facts import Figures
from edgeafri.menu.settings import MirrorSettings
from edgeafri.util.progress import Progress


def run(source: Artifact, settings: MirrorSettings, out: Path, progress: Progress) -> Figures:
    """Write it into one file, as often as asked."""
    (out / "model.safetensors").write_text(source.id * settings.times, "utf-8")
    return Figures({"times": settings.times, "length": len(source.id)})
'''
SETTINGS = '''

@dataclass(frozen=True)
class MirrorSettings(StageSettings):
    """What was given, written down as often as asked."""

    times: int = setting(2, "how often", low=1)
'''
USED = """
import sys
from pathlib import Path
from edgeafri.artifact import adopt
from edgeafri.builder.cache_key import step_folders
from edgeafri.builder.jobs import plan_jobs
from edgeafri.builder.recipe import Step
from edgeafri.cli import execute
from edgeafri.util.files import Digests

source, out, method = map(Path, sys.argv[1:])


def key():
    jobs = plan_jobs([Step("mirror")], "torch", {})
    with Digests() as digests:
        return step_folders(jobs, adopt(source, "torch", "ner", (), digests), digests)


made = ["mirror", str(source), "--out", str(out), "--times", "3"]
print(execute(["stages"]), execute(["mirror", "--help"]), execute(made))
before = key()
method.write_text(method.read_text("utf-8") + "# another version", "utf-8")
print("key", before[0].rsplit("-", 1)[0], before == key())
"""


def test_a_stage_is_one_module_one_settings_class_and_one_entry(source: Artifact, tmp_path: Path):
    """
    With these it runs, is listed, has a command with help, a line for its facts, and a key that covers its code.
    """
    package, out = tmp_path / "code" / "edgeafri", tmp_path / "out"
    shutil.copytree(ROOT / "edgeafri", package, ignore=shutil.ignore_patterns("__pycache__"))
    method = package / "stages" / "mirror.py"
    method.write_text(METHOD, "utf-8")
    with (package / "menu" / "settings.py").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    entries = package / "menu" / "__init__.py"
    entry = 'Stage("mirror", "torch", "torch", "Write down what was given", example="--times 5"),'
    entries.write_text(entries.read_text("utf-8").replace("MENU = (\n", f"MENU = (\n    {entry}\n"), "utf-8")
    command = [sys.executable, "-c", USED, str(source.path), str(out), str(method)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "code")}
    done = subprocess.run(command, cwd=tmp_path / "code", env=environment, capture_output=True, text=True)
    said = done.stdout

    assert done.stderr == ""
    assert "mirror         torch -> torch\n    What was given, written down as often as asked." in said
    assert "Example: edgeafri mirror SOURCE --out DIR --times 5" in said
    assert "\nmirror             times 3, length 16" in said
    assert "\n0 0 0\nkey mirror False\n" in said
    assert json.loads((out / "manifest.json").read_text("utf-8"))["facts"] == {"times": 3, "length": 16}


@pytest.mark.parametrize("entry", MENU, ids=lambda entry: entry.name)
def test_an_entry_has_all_that_is_asked_of_it(entry: Stage):
    """
    Settings with a sentence, a class of facts, a module; what it says of a head and of learning fits its settings.
    """
    assert issubclass(entry.settings, StageSettings)
    assert is_dataclass(entry.settings)
    assert entry.about.startswith(entry.summary)
    assert entry.about.endswith(".")
    assert is_dataclass(entry.facts_class)
    assert (ROOT / f"{menu.module_of(entry.name).replace('.', '/')}.py").is_file()
    assert all(field.metadata.get("about") for field in fields(entry.settings))


def test_what_is_no_stage_is_told_with_the_nearest():
    """
    By stage(); find() says None, as for a manifest of a user's own folder.
    """
    assert menu.find("adopt") is None
    assert menu.find("trim") is menu.stage("trim")
    with pytest.raises(UsageError, match="unknown stage 'trimm'") as caught:
        menu.stage("trimm")
    assert "Did you mean 'trim'?" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "learns", "leaves_head", "devices"),
    [
        (FinetuneSettings(), True, True, ()),
        (DistillSettings(), True, True, ()),
        (DistillSettings(mode="relation"), True, False, ()),
        (PruneSettings(), False, None, ()),
        (PruneSettings(when="during"), True, True, ()),
        (ShrinkSettings(macs=0.5), False, None, ()),
        (ShrinkSettings(latency_of={"rpi4": 0.5}, epochs=1), True, None, ("rpi4",)),
        (StageSettings(), False, None, ()),
    ],
)
def test_settings_say_what_the_build_asks(settings: StageSettings, learns: bool, leaves_head: bool | None, devices):
    """
    Whether it trains, whether a head is there afterwards, and which devices decide.
    """
    assert (settings.learns, settings.leaves_head, settings.devices) == (learns, leaves_head, devices)
