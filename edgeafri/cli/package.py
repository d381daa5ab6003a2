"""`edgeafri package`: a bundle as a web page, an archive of it, or an Android app."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json

if TYPE_CHECKING:
    from edgeafri.documents.package import AndroidPackage

_EPILOG = """\b
Examples:
  edgeafri package BUNDLE --format web --out page
  edgeafri package BUNDLE --format zip --out page.zip
  edgeafri package BUNDLE --format android --out app
"""


@click.command("package", epilog=_EPILOG)
@bundle_argument
@click.option(
    "--format",
    type=click.Choice(["web", "zip", "android"]),
    required=True,
    help="A folder of static files, one archive of them, or a signed APK.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The new folder, or the new file of an archive.",
)
@json_option
def package_command(bundle: Path, format: str, out: Path, as_json: bool) -> None:
    """Make a web page or an Android app that labels text offline with BUNDLE.

    The libraries of the page are fetched from npm once, checked by their hash, and kept; later, no network is needed.
    Any web server can serve the folder. Browsers do not run the page from disk: use `edgeafri serve BUNDLE` for that.
    """
    from edgeafri.api.console import progress_bar
    from edgeafri.apps.web import make_page, write_page, write_zip
    from edgeafri.documents.package import WebPackage

    if format == "android":
        from edgeafri.apps.apk import build_apk

        with progress_bar() as step:
            apk = build_apk(bundle, out, step)
        for warning in apk.warnings:
            click.echo(f"warning: {warning}", err=True)
        print_json(apk.to_json()) if as_json else click.echo(_lines(apk))
        return
    with progress_bar() as step:
        page = make_page(bundle, step)
        step(f"write {out}")
        (write_zip if format == "zip" else write_page)(page, out)
    for warning in page.warnings:
        click.echo(f"warning: {warning}", err=True)
    kind: Literal["web", "zip"] = "zip" if format == "zip" else "web"
    made = WebPackage(page.artifact.id, kind, str(out), len(page.files), page.bytes, page.warnings)
    print_json(made.to_json()) if as_json else click.echo(f"{made.files} files, {made.bytes / 1e6:.1f} MB\n{out}")


def _lines(apk: "AndroidPackage") -> str:
    """What an app is and where it lies."""
    sizes = f"{apk.bytes / 1e6:.1f} MB, {apk.app_bytes / 1e6:.1f} MB of it without the bundle"
    return f"{apk.label} {apk.version_name}: {sizes}; signed with the {apk.key} key\n{apk.out}"
