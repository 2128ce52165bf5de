"""The command `offnormal`. Each command is a module, imported when asked for; what is heavy, when it runs."""

import logging
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.console import fail, warn
from cli.errors import message_of

_PANELS = {
    "Serve": ("serve", "replay", "simulate", "example"),
    "Versions": ("promote", "rollback", "challenge"),
    "Train": ("check", "train", "tune", "evaluate", "compare"),
    "Use": ("score", "inspect"),
}
_PANEL_OF = {command: panel for panel, commands in _PANELS.items() for command in commands}


class Commands(TyperGroup):
    """Turns errors that were foreseen into one line and exit code 1; usage errors are 2, interrupts 130."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_PANEL_OF)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # All of them for a name that is none: the error suggests one that is like it.
        for name in [cmd_name] if cmd_name in _PANEL_OF else _PANEL_OF:
            if name not in self.commands:
                self.add_command(_imported(name))
        return super().get_command(ctx, cmd_name)

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


def _imported(name: str) -> Any:
    """The command that the function `name` of the module `cli.name` is."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
    alone.command(rich_help_panel=_PANEL_OF[name])(getattr(import_module(f"cli.{name}"), name))
    return typer.main.get_command(alone)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
