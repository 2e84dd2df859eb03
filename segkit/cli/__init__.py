"""The command line: thin commands over the Python API, one file each.

A command imports what it needs when it runs, so that `segkit --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from segkit.cli import (
    app,
    calibrate,
    check,
    classify,
    compare,
    convert,
    data,
    describe,
    detect,
    evaluate,
    export,
    inspect,
    models,
    predict,
    sample,
    similar,
    train,
)
from segkit.errors import NOT_COMPLETED, WRONG_USAGE, SegkitError

__all__ = ["main"]

INTERRUPTED, TERMINATED = 130, 143


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
    group.command(name="calibrate")(calibrate.calibrate)
    group.command(name="compare")(compare.compare)
    group.command(name="predict")(predict.predict)
    group.command(name="classify")(classify.classify)
    group.command(name="detect")(detect.detect)
    group.command(name="export")(export.export)
    group.command(name="check")(check.check)
    group.command(name="convert")(convert.convert)
    group.command(name="models")(models.models)
    group.command(name="describe")(describe.describe)
    group.command(name="inspect")(inspect.inspect)
    group.command(name="similar")(similar.similar)
    group.add_typer(data.data, name="data")
    group.command(name="sample")(sample.sample)
    group.command(name="app")(app.app)
    return group


class _Terminated(BaseException):
    """SIGTERM arrived. No `Exception`, as `KeyboardInterrupt` is none: nothing but cleaning up stands in its way."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 done; 1 not completed; 2 wrong usage or wrong input named on the command line; 130/143 interrupted, after saving.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(_build())
    code: object
    try:
        with _termination_raised():
            # --debug is understood wherever it stands.
            words_left = [word for word in words if word != "--debug"]
            code = command.main(words_left, prog_name="segkit", standalone_mode=False)
        if code == INTERRUPTED:  # what typer makes of Ctrl-C
            typer.echo("interrupted", err=True)
    except _Terminated:
        typer.echo("terminated", err=True)
        code = TERMINATED
    except BrokenPipeError:
        # The reader of our output (head, less) left: nobody is there to be told, and the interpreter must not try.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = NOT_COMPLETED
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        message, code = _explain(error)
        if message:
            typer.echo(f"error: {message}", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> tuple[str, int]:
    """What the user is told of an error, and the exit code."""
    match error:
        case SegkitError():
            return str(error), error.exit_code
        case typer.TyperException():
            return error.format_message(), WRONG_USAGE  # empty where the help was shown for want of a command
        case OSError():
            # A full disk, a lost drive: of the machine, wherever it shows.
            where = f"{error.filename}: " if error.filename else ""
            reason = f"{where}{error.strerror or error}"
            return f"{reason}; look at the disk and its permissions, then try again", NOT_COMPLETED
        case ModuleNotFoundError(name=str(missing)):
            return f"this command needs {missing}, which is not installed here: pip install segkit-toolkit", WRONG_USAGE
        case MemoryError():
            return "out of memory; use a smaller --batch-size or --crop, or smaller images", NOT_COMPLETED
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return f"this should not happen ({reason}); please report it with what --debug shows", NOT_COMPLETED


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Let SIGTERM unwind the work as Ctrl-C does, so that what is half done is brought to an end, and tables written.

    A training takes both signals over while it runs.
    """

    def raise_it(_number: int, _frame: object) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only there may a program take signals
        return
    previous = signal.signal(signal.SIGTERM, raise_it)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
