"""`offnormal challenge`: try a version of a model beside the one that answers."""

from typing import Annotated

import typer

from cli.console import out
from cli.errors import CommandError
from cli.live_version import KeyOption, served, split
from cli.service_address import DEFAULT_URL, UrlOption


def challenge(
    what: Annotated[
        str,
        typer.Argument(metavar="MODEL@VERSION", help="The version to try; with --stop, the model alone."),
    ],
    stop: Annotated[bool, typer.Option("--stop", help="Try none any more.")] = False,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
) -> None:
    """Have a version judge the same windows in the shadow of the live one, which goes on answering.

    `offnormal compare MODEL --url URL` shows how far they agree, `offnormal promote MODEL` has it answer.

    `offnormal challenge pump7@3`
    """
    name, version = split(what)
    if stop == (version is not None):
        raise CommandError(f"{what}: expected a version, as in {name}@2, or --stop")

    from cli.service_client import ServiceClient

    with ServiceClient(url, key) as client:
        served(client, name)
        now = client.challenge(name, version)
    tried = (
        f"version {now['challenger']} is tried beside it" if now["challenger"] else "none is tried beside it"
    )
    out.print(f"{name}: version {now['live']} answers, {tried}", markup=False, soft_wrap=True)
