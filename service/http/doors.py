"""Protocols of other systems that the service speaks too, each below a path of its own.

A door translates: what comes in becomes a `Task`, `service.judging` answers it as it answers every other, and
the verdicts go out in the protocol's own form.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Response

from service.http.azure import routes as azure
from service.http.azure.refusals import refuse as refuse_azure
from service.http.open_inference import routes as open_inference
from service.http.problems import response_to


@dataclass(frozen=True, slots=True)
class Door:
    """One protocol. prefix: how its paths begin; refuse: writes an error in its form, given its id."""

    prefix: str
    router: APIRouter
    refuse: Callable[[Exception, str], Response]


DOORS: tuple[Door, ...] = (
    Door(open_inference.PREFIX, open_inference.router, open_inference.refuse),
    Door(azure.PREFIX, azure.router, refuse_azure),
)


def refusal(path: str, error: Exception, request_id: str) -> Response:
    """An error as whoever has this path writes it."""
    door = door_to(path)
    return (door.refuse if door else response_to)(error, request_id)


def door_to(path: str) -> Door | None:
    """The door that a path belongs to, if it is not the service's own."""
    return next((door for door in DOORS if path == door.prefix or path.startswith(f"{door.prefix}/")), None)
