"""The documents of the project against the tree: what they name is there, and what is there is named."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_architecture_is_one_screen():
    """
    Who opens the code sees the whole house at once.
    """
    tree = PAGE.split("```")[1].strip().splitlines()

    assert len(tree) <= 24
    assert len(PAGE.splitlines()) <= 55


def test_every_package_and_module_at_the_top_is_in_the_architecture():
    """
    And nothing that is gone.
    """
    tree = PAGE.split("```")[1]
    named = set(re.findall(r"(?:^  |\s{2,})([\w.]+(?:/|\.pyi?))(?=\s)", tree.split("edgeafri/", 1)[1], re.MULTILINE))
    top = ROOT / "edgeafri"
    there = {f"{item.name}/" for item in top.iterdir() if (item / "__init__.py").is_file()}
    there |= {item.name for item in top.iterdir() if item.suffix in (".py", ".pyi")}

    assert named == there


def test_every_path_that_the_architecture_names_exists():
    """
    A file that was renamed shows.
    """
    prose = PAGE.split("```")[2]
    named = [name for name in re.findall(r"`([\w./-]+)`", prose) if "/" in name or name.endswith(".py")]
    places = (ROOT, ROOT / "edgeafri")

    assert [name for name in named if not any((place / name).exists() for place in places)] == []
