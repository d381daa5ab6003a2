"""`edgeafri stages`, `recipes`, `devices`: what there is, from the definitions that the engine uses."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeafri.cli.options import json_option, print_json

if TYPE_CHECKING:
    from edgeafri.device.profile import DeviceProfile
    from edgeafri.documents.listing import SettingEntry
    from edgeafri.menu.settings import StageSettings


@click.command("stages", epilog="Example: edgeafri stages --json")
@json_option
def stages_command(as_json: bool) -> None:
    """List the stages: what each takes and gives, and its settings."""
    from edgeafri.documents.listing import StageEntry
    from edgeafri.menu import MENU

    entries = [
        StageEntry(
            name=line.name, takes=line.takes, gives=line.gives, about=line.about, settings=_settings(line.settings)
        )
        for line in MENU
    ]
    if as_json:
        print_json([entry.to_json() for entry in entries])
        return
    for entry in entries:
        click.echo(f"{entry.name:<14} {entry.takes} -> {entry.gives}\n    {entry.about}")
        for setting in entry.settings:
            click.echo(f"    {setting.name:<15} {setting.about}  [default: {_in_words(setting.default)}]")


@click.command("recipes", epilog="Example: edgeafri recipes faithful")
@click.argument("name", required=False)
@json_option
def recipes_command(name: str | None, as_json: bool) -> None:
    """List the recipes, or show the steps of one."""
    from edgeafri.builder.recipe import read_recipe, recipe_names

    recipes = [read_recipe(item) for item in ([name] if name else recipe_names())]
    if as_json:
        print_json([asdict(recipe) for recipe in recipes])
        return
    for recipe in recipes:
        click.echo(f"{recipe.name:<14} {recipe.about}")
        for step in recipe.steps:
            settings = (f" {name}={value}" for name, value in step.settings.items())
            click.echo(f"    {step.stage}{''.join(settings)}")


@click.command("devices", epilog="Example: edgeafri devices rpi4 --profiles ./devices --json")
@click.argument("name", required=False)
@click.option(
    "--profiles", type=click.Path(path_type=Path), multiple=True, help="A folder with your own device profiles."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a page with every number and its source.")
@json_option
def devices_command(name: str | None, profiles: tuple[Path, ...], as_markdown: bool, as_json: bool) -> None:
    """List the known devices, or every number of one device with its source. The JSON is always a list."""
    from edgeafri.device.profile import profile_names, read_profile
    from edgeafri.report.devices_page import devices_page

    found = [read_profile(item, profiles) for item in ([name] if name else profile_names(profiles))]
    if as_json:
        print_json([asdict(profile) for profile in found])
        return
    if as_markdown:
        click.echo(devices_page(found), nl=False)
        return
    for profile in found:
        budget = profile.budget
        with_data = f", with data {profile.recipe_with_data}" if profile.recipe_with_data else ""
        click.echo(f"{profile.name:<14} {profile.title}; recipe {profile.recipe}{with_data}")
        click.echo(
            f"    budget: bundle {budget.bundle_mb.value:g} MB, peak memory {budget.peak_rss_mb.value:g} MB, "
            f"p95 {budget.p95_ms.value:g} ms at {budget.seq_len} subwords, load {budget.load_ms.value:g} ms"
        )
        if name:
            _print_facts(profile)


def _settings(cls: "type[StageSettings]") -> "tuple[SettingEntry, ...]":
    from edgeafri.documents.base import plain
    from edgeafri.documents.listing import SettingEntry

    return tuple(
        SettingEntry(name=field.name.replace("_", "-"), about=field.metadata["about"], default=plain(field.default))
        for field in fields(cls)
    )


def _in_words(default: object) -> str:
    """A default as it is typed: a list with commas, and a word where there is none."""
    if isinstance(default, (tuple, list)):
        return ",".join(map(str, default)) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None or default == "" else str(default)


def _print_facts(profile: "DeviceProfile") -> None:
    from edgeafri.device.profile import numbers

    for cluster in profile.cores:
        part = "part not known" if cluster.part is None else f"part {cluster.part:#x}"
        click.echo(
            f"    {cluster.count} x {cluster.type}, {part}, {' '.join(cluster.features) or 'features not known'}"
        )
    for place, fact, unit in numbers(profile, ""):
        origin = (
            "not known" if fact is None else f"source: {fact.source}" if fact.source else f"assumed: {fact.assumed}"
        )
        value = "?" if fact is None else f"{fact.value:g}"
        click.echo(f"    {place:<32} {f'{value} {unit}':<16} {origin}")
    for key, source in profile.sources.items():
        click.echo(f"    [{key}] {source}")
    for known in profile.calibrations:
        runs = sum(constants.runs for constants in known.constants)
        click.echo(f"    calibration of {known.device}: {runs} runs on {known.measured_on}")
