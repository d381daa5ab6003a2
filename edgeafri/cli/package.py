"""`edgeafri package`: a bundle as a web page, an archive of it, or an Android app."""

from pathlib import Path

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json

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
    """Put the page that labels text offline around BUNDLE.

    Its libraries come from npm once, checked by their hash, and are kept; later packages need no network. Any web
    server can serve the folder; opened from disk, browsers do not run it: `edgeafri serve BUNDLE` is for that.
    """
    from edgeafri.api.console import stepping
    from edgeafri.apps.web import make_page, write_page, write_zip

    if format == "android":
        from edgeafri.apps.apk import build_apk

        with stepping() as step:
            apk = build_apk(bundle, out, step)
        for warning in apk.warnings:
            click.echo(f"warning: {warning}", err=True)
        print_json(apk.as_json()) if as_json else click.echo(apk)
        return
    with stepping() as step:
        page = make_page(bundle, step)
        step(f"write {out}")
        (write_zip if format == "zip" else write_page)(page, out)
    for warning in page.warnings:
        click.echo(f"warning: {warning}", err=True)
    answer = {
        "bundle_id": page.artifact.id,
        "format": format,
        "out": str(out),
        "files": len(page.files),
        "bytes": page.bytes,
        "warnings": list(page.warnings),
    }
    print_json(answer) if as_json else click.echo(f"{len(page.files)} files, {page.bytes / 1e6:.1f} MB\n{out}")
