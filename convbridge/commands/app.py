"""The commands put together, and how an error becomes one line and an exit code."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import convbridge
from convbridge.commands.atlas import atlas
from convbridge.commands.backends import backends
from convbridge.commands.bench import bench
from convbridge.commands.compare import compare
from convbridge.commands.console import BAD_USAGE, one_line, report
from convbridge.commands.exercise import exercise
from convbridge.commands.filter import filter_images
from convbridge.commands.learn import learn
from convbridge.commands.page import page
from convbridge.commands.parity import parity
from convbridge.commands.shapes import shapes
from convbridge.errors import ConvbridgeError

__all__ = ["app", "run"]

app = typer.Typer(
    name="convbridge",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"convbridge {convbridge.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """One API for 2-D convolution and pooling over NumPy, PyTorch, TensorFlow and MXNet."""


app.command("atlas", short_help="Show where the frameworks' own operators disagree.")(atlas)
app.command("backends", short_help="Show which backends are installed.")(backends)
app.command("bench", short_help="Time NumPy beside the frameworks.")(bench)
app.command("compare", short_help="Compare the backends on the chapters' examples.")(compare)
app.command("exercise", short_help="Show the chapters' exercises and check answers.")(exercise)
app.command("filter", short_help="Filter image files with a kernel.")(filter_images)
app.command("learn", short_help="Learn a kernel from an image and its filtered copy.")(learn)
app.command("page", short_help="Write the chapters as a page to try out.")(page)
app.command("parity", short_help="Compare all backends on thousands of cases.")(parity)
app.command("shapes", short_help="Show sizes and receptive fields of layers.")(shapes)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments : list of str

    Returns
    -------
    int
        See :mod:`convbridge.cli`.
    """
    command: Any = typer.main.get_command(app)
    try:
        # Not command.main(), which turns a closed pipe into exit code 1: that means a difference here.
        with command.make_context("convbridge", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        raise
    except (ConvbridgeError, OSError) as error:
        report(one_line(error))
        return BAD_USAGE
    except MemoryError:
        report("there is not enough memory for this")
        return BAD_USAGE
    except Exception as error:
        return _usage_error(error)
    return 0


def _usage_error(error: Exception) -> int:
    """Report an error of the command line's library; raise any other, which is a mistake of ours."""
    describe = getattr(error, "format_message", None)
    if describe is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help itself
        print(describe())
        return BAD_USAGE
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "convbridge"
    message = " ".join(str(describe()).split())
    report(f"{message} (see {command} --help)")
    return BAD_USAGE
