"""The command line: one group, one file per command, and the place where a failure becomes words and an exit code."""

import importlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

from edgeafri import __version__
from edgeafri.errors import INTERRUPTED, OK, USAGE, EdgeAfriError, UsageError


class Command(NamedTuple):
    """A command as `edgeafri --help` lists it: the module that holds it, imported when it is called, and one line."""

    module: str
    summary: str


# The commands in the order of `edgeafri --help`, under what a person wants to do. The stages' own commands, which the
# menu declares, follow these.
SECTIONS = {
    "Make a bundle": {
        "build": Command("build", "from a fine-tuned model to a measured bundle"),
        "why": Command("why", "which step of a build cost quality, and which layer"),
        "report": Command("report", "builds, profiles and measurements on one page"),
        "convert": Command("convert", "a pickled checkpoint to safetensors"),
    },
    "Use a bundle": {
        "run": Command("run", "label text, offline and without torch"),
        "verify": Command("verify", "check a bundle, and what this device makes of it"),
        "eval": Command("evaluate", "quality per language on labelled data"),
        "bench": Command("bench", "speed, load time and memory on this device"),
        "serve": Command("serve", "a bundle as a web page on this computer"),
        "package": Command("package", "a bundle as a web page, a zip file or an Android app"),
    },
    "Devices": {
        "devices": Command("listing", "the devices that are known, with sources"),
        "profile": Command("profile", "a bundle on a device: estimated, emulated, measured"),
        "farm": Command("farm", "bundles on many devices at once"),
        "calibrate": Command("calibrate", "measurements of a device make its estimates narrower"),
        "emulator": Command("emulator", "install the ARM emulator that `profile` uses"),
    },
    "Compare and study": {
        "compare": Command("compare", "ways to store weights, LLM.int8() too, side by side"),
        "study": Command("study", "a paper's tables, made again with your model"),
    },
    "Look around": {
        "stages": Command("listing", "the stages that a recipe is made of, with every setting"),
        "recipes": Command("listing", "the recipes, or the steps of one"),
        "doctor": Command("doctor", "what is installed, and how to get what is missing"),
    },
}
_STAGES = "Single steps of a build (edgeafri STAGE SOURCE --out DIR)"
_COMMANDS = {name: command for section in SECTIONS.values() for name, command in section.items()}
_EPILOG = """\b
Examples:
  edgeafri build --target rpi4                          the embedded sample, start to end
  edgeafri build --target rpi4 --teacher MODEL --data DIR --lang swa,hau,yor
  edgeafri run BUNDLE "Rais alizuru Mombasa Jumatatu."  entities in a sentence, offline
"""


class _Commands(click.Group):
    """Lists commands without importing them, so that help is there at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from edgeafri.menu import MENU

        return [*_COMMANDS, *(stage.name for stage in MENU)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"edgeafri.cli.{_COMMANDS[cmd_name].module}")
            found: click.Command = getattr(module, f"{cmd_name}_command")
            return found
        from edgeafri.cli.stage import stage_command
        from edgeafri.settings import did_you_mean

        command = stage_command(cmd_name)
        if command is None:
            raise UsageError(f"there is no command '{cmd_name}'", did_you_mean(cmd_name, self.list_commands(ctx)))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from edgeafri.menu import MENU

        listed = {title: [(name, item.summary) for name, item in own.items()] for title, own in SECTIONS.items()}
        listed[_STAGES] = [(stage.name, stage.summary) for stage in MENU]
        for title, rows in listed.items():
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="edgeafri")
def cli() -> None:
    """From a fine-tuned African-language transformer to a verified bundle that runs offline on a small device."""


def main() -> None:
    """The `edgeafri` command."""
    _speak_utf8()
    sys.exit(execute(sys.argv[1:]))


def _speak_utf8() -> None:
    """Write UTF-8 on Windows too, where a pipe or a file gets its code page, which lacks most African letters."""
    if os.name == "nt":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


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
