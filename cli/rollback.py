"""`offnormal rollback`: have the version answer again that did so before."""

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.live_version import KeyOption, served, split, tell
from cli.service_address import DEFAULT_URL, UrlOption


def rollback(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@VERSION]",
            help="The model; without a version it goes back to the one that answered before, or else to the"
            " next older good one.",
        ),
    ],
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Go back to the version that answered before: at once, in every worker, and after a restart.

    `offnormal rollback pump7`
    """
    name, version = split(what)

    from cli.service_client import ServiceClient

    with ServiceClient(url, key) as client:
        before = served(client, name)
        version = version or before["previous"]
        if version is None:
            raise CommandError(f"{name}: there is no good version before {before['live']}")
        tell(before, client.choose(name, version))
