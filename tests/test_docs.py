"""The documents of the project against the tree: what they name is there, and what is there is named."""

import ast
import inspect
import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

import edgeafri
from edgeafri import errors
from edgeafri.cli import cli
from edgeafri.menu import MENU

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
FOLDERS = (
    ".",
    "docs",
    "docs/guide",
    "benchmarks",
    "profiles",
    "android-demo",
    "android-demo/web",
    "android-demo/native",
)
PAGES = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
NAMES = cli.list_commands(click.Context(cli))


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


def test_the_readme_is_short():
    """
    Who opens it reads it to its end.
    """
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120


def test_the_exit_codes_are_those_of_the_program():
    """
    Scripts are written by the table.
    """
    table = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    codes = {value for name, value in vars(errors).items() if name.isupper()}

    assert {int(code) for code in table} == codes
    assert all(f"{code} " in (ROOT / "README.md").read_text("utf-8").split("Exit codes:")[1] for code in codes)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path):
    """
    A relative link names a file that exists, and a heading that stands in it.
    """
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", (ROOT / page).read_text("utf-8"))
    targets = [((ROOT / page).parent / path if path else ROOT / page, anchor) for path, anchor in links]

    assert [str(file) for file, _ in targets if not file.exists()] == []
    assert [(str(file), anchor) for file, anchor in targets if anchor and anchor not in _anchors(file)] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_line_is_one_that_the_program_accepts(page: Path):
    """
    The command exists, and so do its options, the choices of an option, and the settings after --set.
    """
    lines = _command_lines((ROOT / page).read_text("utf-8"))

    assert [(line, wrong) for line in lines if (wrong := _unknown_values(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_option_in_the_text_exists(page: Path):
    """
    An option that was renamed shows, where it is named without its command too.
    """
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    named = re.findall(r"(?<!`)`(--[a-z-]+)[^`]*`", text)
    known = {text for name in NAMES for item in _command(name).params for text in item.opts + item.secondary_opts}
    known |= {"--help"}
    for script in (ROOT / "benchmarks").glob("*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', script.read_text("utf-8")))

    assert [option for option in named if option not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_call_in_python_fits_its_function(page: Path):
    """
    The names are there and take these arguments.
    """
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL):
        for call in [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]:
            holder = ast.unparse(call.func).rpartition(".")[0]
            owner = {"edgeafri": edgeafri, "bundle": edgeafri.Bundle}.get(holder)
            if owner is None:
                continue
            function = getattr(owner, ast.unparse(call.func).rpartition(".")[2])
            self = [None] if holder == "bundle" else []
            inspect.signature(function).bind(*self, *call.args, **{str(word.arg): None for word in call.keywords})


def _command_lines(text: str) -> list[str]:
    """What stands behind `edgeafri ` in blocks and in spans of code; a line that ends with a backslash goes on."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [match.group(1) for line in lines if (match := re.match(r"(?:\$ |cat \S+ \| )?(edgeafri .*)", line))]
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`(edgeafri [^`]+)`", outside)]
    return [
        line for line in (*found, *spans) if not re.match(r"edgeafri (?:[A-Z]{2,}|\.\.\.)", line) and "..." not in line
    ]


def _command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def _unknown_values(line: str) -> list[str]:
    """The values in a command line that their option does not know. click raises for a command or option it lacks."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    if name.startswith("-"):
        return []
    command = _command(name)
    with cli.make_context("edgeafri", [], resilient_parsing=True) as group:
        context = click.Context(command, parent=group, info_name=name)
        given, _, _ = command.make_parser(context).parse_args(arguments)
    found = []
    for option in command.params:
        values = given.get(option.name or "")
        texts = [value for value in (values if isinstance(values, list) else [values]) if isinstance(value, str)]
        found += _not_a_choice(option, texts)
    return found


def _not_a_choice(option: click.Parameter, values: list[str]) -> list[str]:
    """Of the values of an option, those that it does not know; of --set, those whose stage or setting is not there."""
    if "--set" in option.opts:
        names = {f"{line.name}.{field.name.replace('_', '-')}" for line in MENU for field in fields(line.settings)}
        return [value for value in values if value.partition("=")[0].replace("_", "-") not in names | {"STAGE.KEY"}]
    choices = option.type.choices if isinstance(option.type, click.Choice) else (option.metavar or "").split("|")
    return [value for value in values if len(choices) > 1 and value not in choices]


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them in links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
