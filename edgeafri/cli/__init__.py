"""The command line: one group, one file a command, and the one place where a failure becomes words and an exit code."""

import importlib
import os
import sys
from pathlib import Path

import click

from edgeafri import __version__
from edgeafri.errors import INTERRUPTED, OK, USAGE, EdgeAfriError, UsageError

# Command -> the module that holds it, imported only when it is needed. The stages' own commands follow these.
_COMMANDS = {
    "build": "build",
    "run": "run",
    "verify": "verify",
    "eval": "evaluate",
    "bench": "bench",
    "profile": "profile",
    "farm": "farm",
    "why": "why",
    "report": "report",
    "study": "study",
    "compare": "compare",
    "convert": "convert",
    "package": "package",
    "serve": "serve",
    "doctor": "doctor",
    "stages": "listing",
    "recipes": "listing",
    "devices": "listing",
    "calibrate": "calibrate",
    "emulator": "emulator",
}
_EPILOG = """\b
Examples:
  edgeafri build --target rpi4                          the embedded sample, start to end
  edgeafri build --target rpi4 --teacher MODEL --data DIR --lang swa,hau,yor
  edgeafri run BUNDLE "Rais alizuru Mombasa Jumatatu."  entities in a sentence, offline
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        from edgeafri.menu import MENU

        return [*_COMMANDS, *(line.name for line in MENU)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"edgeafri.cli.{_COMMANDS[cmd_name]}")
            found: click.Command = getattr(module, f"{cmd_name}_command")
            return found
        from edgeafri.cli.stage import stage_command
        from edgeafri.settings import did_you_mean

        command = stage_command(cmd_name)
        if command is None:
            raise UsageError(f"there is no command '{cmd_name}'", did_you_mean(cmd_name, self.list_commands(ctx)))
        return command


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="edgeafri")
def cli() -> None:
    """From a fine-tuned African-language transformer to a verified bundle that runs offline on a small device."""


def main() -> None:
    """The `edgeafri` command."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a failure is told on stderr with its next step."""
    try:
        code = cli.main(arguments, prog_name="edgeafri", standalone_mode=False, obj=arguments)
        sys.stdout.flush()
    except EdgeAfriError as error:
        return _told(error)
    except click.ClickException as error:
        error.show()
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; finished steps are kept and will be reused", err=True)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click turns a closed pipe into an exit of its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read us has gone, which is no failure
        return OK
    except OSError as error:
        return _told_of_disk(error)
    return code if isinstance(code, int) else OK


def _told(error: EdgeAfriError) -> int:
    click.echo(f"error: {error.message}\n  next: {error.hint}", err=True)
    return error.exit_code


def _told_of_disk(error: OSError) -> int:
    from edgeafri.util.files import refused

    known = refused(error, Path.cwd())
    if known is None:
        raise error
    return _told(known)
