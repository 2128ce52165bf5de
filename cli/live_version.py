"""Which version of a model answers: what the commands that change it share."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import out
from cli.errors import CommandError

if TYPE_CHECKING:
    from cli.service_client import ServiceClient

KeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="OFFNORMAL_KEY", help="Key of the service with the role admin, where it asks for one."
    ),
]


def served(client: "ServiceClient", name: str) -> dict[str, Any]:
    """A model as the service shows it. Raises CommandError, naming those that there are."""
    models = {model["name"]: model for model in client.models()}
    if name not in models:
        raise CommandError(f"the service has no model {name!r}; it has: {', '.join(models) or 'none'}")
    return models[name]


def split(text: str) -> tuple[str, int | None]:
    """Name and version of `NAME` or `NAME@VERSION`. Raises CommandError."""
    name, at, version = text.partition("@")
    if at and not (version.isascii() and version.isdecimal() and int(version) > 0):
        raise CommandError(f"{text}: expected a version after the @, as in {name or 'pump7'}@2")
    return name, int(version) if at else None


def tell(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Say which version answers, as the service itself says."""
    which = "chosen" if now["chosen"] is not None else "the newest good one"
    same = " as before" if before["live"] == now["live"] else f", before it was {before['live']}"
    out.print(f"{now['name']}: version {now['live']} answers ({which}){same}", markup=False, soft_wrap=True)
