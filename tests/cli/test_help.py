"""Help: every command says what it does, every option what it means, and every one shows an example."""

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgeafri.cli import cli

ROOT = Path(__file__).parents[2]
NAMES = cli.list_commands(click.Context(cli))


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str):
    """
    A sentence of its own, and one for every option.
    """
    options = [item for item in command(name).params if isinstance(item, click.Option)]

    assert command(name).help
    assert [item.name for item in options if not item.help] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_shows_an_example_that_it_accepts(name: str):
    """
    The words of an example are an option of the command or a value: a renamed option shows.
    """
    lines = [line.strip() for line in (command(name).epilog or "").splitlines()]
    examples = [line.split("edgeafri ", 1)[1] for line in lines if f"edgeafri {name}" in line]
    known = {text for item in command(name).params for text in item.opts}

    assert examples
    for example in examples:
        assert {word for word in shlex.split(example) if word.startswith("--")} <= known


@pytest.mark.parametrize("name", [*NAMES, ""])
def test_help_prints_and_ends_well(name: str):
    """
    `-h` is as good as `--help`, on a narrow terminal too.
    """
    for flag in ("-h", "--help"):
        result = CliRunner().invoke(cli, [*([name] if name else []), flag], prog_name="edgeafri")

        assert result.exit_code == 0
        assert "Example" in result.output


def test_the_group_lists_every_command_and_every_stage():
    """
    What can be typed is in the first help a user sees.
    """
    from edgeafri.menu import MENU

    printed = CliRunner().invoke(cli, ["--help"]).output

    assert {line.name for line in MENU} < set(NAMES)
    assert all(f"\n  {name} " in printed for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_readme(name: str):
    """
    A command that is not in the README's table is not there for its reader.
    """
    table = (ROOT / "README.md").read_text("utf-8").split("## Commands")[1].split("## ")[0]

    assert f"`{name}`" in table


def test_the_version_is_that_of_the_package():
    """
    One place has the number.
    """
    from edgeafri import __version__

    assert CliRunner().invoke(cli, ["--version"], prog_name="edgeafri").output == f"edgeafri, version {__version__}\n"
