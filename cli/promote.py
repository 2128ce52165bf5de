"""`offnormal promote`: have a version of a model answer."""

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.live_version import KeyOption, served, split, tell
from cli.service_address import DEFAULT_URL, UrlOption


def promote(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@VERSION]",
            help="The version that is to answer; without one, the challenger, or else the newest good one.",
        ),
    ],
    newest: Annotated[
        bool, typer.Option("--newest", help="From now on whatever is the newest good version answers.")
    ] = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Have a version answer the requests that name none: at once, in every worker, and after a restart.

    Versions that are published later then wait to be promoted too, until --newest.

    `offnormal promote pump7@3`
    """
    name, version = split(what)
    if newest and version is not None:
        raise CommandError(f"{what}: a version and --newest exclude each other")

    from cli.service_client import ServiceClient

    with ServiceClient(url, key) as client:
        before = served(client, name)
        if version is None and not newest:
            good = [each["version"] for each in before["versions"] if each["state"] == "ready"]
            version = before["challenger"] or next(iter(good), None)
            if version is None:
                raise CommandError(f"{name} has no good version")
        tell(before, client.choose(name, version))
