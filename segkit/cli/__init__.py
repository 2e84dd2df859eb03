"""The command line: thin commands over the Python API, one file each.

A command imports what it needs when it runs, so that `segkit --help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from segkit.cli import app, check, classify, evaluate, models, predict, sample, train
from segkit.errors import NOT_COMPLETED, WRONG_USAGE, SegkitError

__all__ = ["main"]

INTERRUPTED = 130


def _version(asked: bool) -> None:
    if asked:
        from segkit._version import __version__

        typer.echo(f"segkit {__version__}")
        raise typer.Exit


def _build() -> typer.Typer:
    group = typer.Typer(name="segkit", add_completion=False, no_args_is_help=True, rich_markup_mode="rich")

    @group.callback(help="From a folder of images to masks you can trust, on the machine you have.")
    def options(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
        debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    ) -> None:
        """Options of segkit itself; `main` reads --debug from the command line."""

    group.command(name="train")(train.train)
    group.command(name="evaluate")(evaluate.evaluate)
    group.command(name="val", hidden=True)(evaluate.evaluate)
    group.command(name="predict")(predict.predict)
    group.command(name="classify")(classify.classify)
    group.command(name="check")(check.check)
    group.command(name="models")(models.models)
    group.command(name="sample")(sample.sample)
    group.command(name="app")(app.app)
    return group


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 done; 1 not completed; 2 wrong usage or wrong input named on the command line; 130/143 interrupted, after saving.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    command = typer.main.get_command(_build())
    try:
        # --debug is understood wherever it stands.
        code = command.main([word for word in words if word != "--debug"], prog_name="segkit", standalone_mode=False)
    except SegkitError as error:
        code = _fail(str(error), error.exit_code, debug)
    except typer.TyperException as error:
        message = error.format_message()  # empty where the help was shown for want of a command
        code = _fail(message, WRONG_USAGE, debug) if message else WRONG_USAGE
    except typer.Abort:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) left: nobody is there to be told, and the interpreter must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = NOT_COMPLETED
    except OSError as error:
        # A full disk, a lost drive: of the machine, wherever it shows.
        where = f"{error.filename}: " if error.filename else ""
        code = _fail(
            f"{where}{error.strerror or error}; look at the disk and its permissions, then try again",
            NOT_COMPLETED,
            debug,
        )
    except MemoryError:
        code = _fail("out of memory; use a smaller --batch-size or --crop, or smaller images", NOT_COMPLETED, debug)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        code = _fail(
            f"this should not happen ({reason}); please report it with what --debug shows", NOT_COMPLETED, debug
        )
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    typer.echo(f"error: {message}", err=True)
    return code
