"""`edgeafri report`: what builds, profiles, farms and measurements found, on one page."""

from pathlib import Path

import click

from edgeafri.cli.options import json_option, print_json

_EPILOG = """\b
Examples:
  edgeafri report edgeafri-work --html report.html
  edgeafri report edgeafri-work profile-pi.json --html report.html --md report.md
  edgeafri report farm.json --target rpi4 --json
"""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("report", epilog=_EPILOG)
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=_FILE, help="A file for the page; it needs no network and no script.")
@click.option("--md", type=_FILE, help="A file for the same as Markdown.")
@click.option("--target", metavar="DEVICE", help="Only what is for this device, where RESULTS are of several.")
@json_option
def report_command(
    results: tuple[Path, ...], html: Path | None, md: Path | None, target: str | None, as_json: bool
) -> None:
    """Put RESULTS on one page: work folders of builds, and JSON of build, profile, farm and bench.

    What several documents say of one bundle stands together; several bundles stand side by side. All are of one task
    and one device. Without --html, --md and --json the Markdown goes to stdout.
    """
    from edgeafri.api.reports import make_report

    report = make_report(*results, target=target)
    if html is not None:
        _write(html, report.html)
    if md is not None:
        _write(md, report.markdown)
    if as_json:
        print_json(report.to_json())
    elif html is None and md is None:
        click.echo(report.markdown, nl=False)
    else:
        click.echo("\n".join(str(file) for file in (html, md) if file is not None))


def _write(file: Path, text: str) -> None:
    from edgeafri.util.files import make_room, write_whole

    make_room(file)
    write_whole(file, text)
