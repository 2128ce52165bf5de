"""Where a running service is: an option that several commands share."""

from typing import Annotated

import typer

UrlOption = Annotated[
    str, typer.Option("--url", envvar="OFFNORMAL_URL", help="Address of the service.", metavar="URL")
]
DEFAULT_URL = "http://127.0.0.1:8000"
