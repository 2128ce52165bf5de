"""The command `offnormal`. Every command is one module; what is heavy is imported when a command runs."""

import logging
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.challenge import challenge
from cli.check import check
from cli.compare import compare
from cli.console import fail, warn
from cli.errors import message_of
from cli.evaluate import evaluate
from cli.example import example
from cli.inspect import inspect
from cli.promote import promote
from cli.replay import replay
from cli.rollback import rollback
from cli.score import score
from cli.serve import serve
from cli.simulate import simulate
from cli.train import train
from cli.tune import tune


class Commands(TyperGroup):
    """Turns errors that were foreseen into one line and exit code 1; usage errors are 2, interrupts 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of a pipe has had enough: ends quietly
        except Exception as error:
            message = message_of(error)
            if message is None:
                raise
            fail(message)
            raise typer.Exit(1) from error


class _Warnings(logging.Handler):
    """What the packages below are doubtful about, as warnings in the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


app = typer.Typer(
    name="offnormal",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    epilog="Documentation: the folder docs/, beginning with docs/architecture.md.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"offnormal {version('offnormal')}")
        raise typer.Exit


@app.callback()
def offnormal(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Anomaly detection for industrial sensors: a window of readings in, a verdict out."""
    logger = logging.getLogger("evaluation")
    if not any(isinstance(handler, _Warnings) for handler in logger.handlers):
        logger.addHandler(_Warnings(logging.WARNING))


for panel, commands in {
    "Serve": (serve, replay, simulate, example),
    "Versions": (promote, rollback, challenge),
    "Train": (check, train, tune, evaluate, compare),
    "Use": (score, inspect),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
