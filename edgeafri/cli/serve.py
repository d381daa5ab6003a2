"""`edgeafri serve`: the page of a bundle in the browser of this computer, or of a classroom's."""

from contextlib import suppress
from pathlib import Path

import click

from edgeafri.cli.options import bundle_argument


@click.command("serve", epilog="Example: edgeafri serve BUNDLE --port 8000")
@bundle_argument
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port. 0: any free port."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. 127.0.0.1: only this computer. 0.0.0.0: everyone in the same network.",
)
def serve_command(bundle: Path, port: int, host: str) -> None:
    """Serve the page that labels text with BUNDLE, until Ctrl-C. The text stays in the browser where it is typed."""
    from edgeafri.api.console import progress_bar
    from edgeafri.apps.server import LOOPBACK, open_server
    from edgeafri.apps.web import make_page

    with progress_bar() as step:
        page = make_page(bundle, step)
    for warning in page.warnings:
        click.echo(f"warning: {warning}", err=True)
    if host not in LOOPBACK:
        said = f"listening on {host}: whoever reaches this computer can open the page and copy the model"
        click.echo(f"warning: {said}", err=True)
    server = open_server(page.files, host, port)
    click.echo(server.url)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
