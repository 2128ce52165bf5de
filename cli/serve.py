"""`offnormal serve`: the microservice, in this process or in several workers of it."""

import gc
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import note, say, warn
from cli.errors import CommandError

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from fastapi import FastAPI

    from detector.runtime import OpenRuntime
    from service.resources import Resources
    from service.settings import Settings


_EXAMPLE_TIMEOUT_S = 5.0
_LINE = 110
# Open files beside connections: models, state, the interpreter's own.
_OTHER_FILES = 200


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.  [default: 8000]")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer behind the one port.  [default: 1]")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of the model store.  [default: models]", metavar="FOLDER")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for asset baselines.  [default: state]", metavar="FOLDER")
    ] = None,
    default_model: Annotated[
        str | None, typer.Option(help="Model that answers requests that name none.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="onnx or tensorflow.  [default: onnx]", metavar="RUNTIME")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option(help="File of hashed API keys; without it none is asked for.")
    ] = None,
    allow_anonymous: Annotated[
        bool | None, typer.Option("--allow-anonymous", help="Listen beyond this machine without API keys.")
    ] = None,
) -> None:
    """Serve the models of a store over HTTP.

    Every option, and more, can be set by environment variables: see docs/settings.md. An option wins.

    `offnormal serve --port 8000`
    """
    given = {
        "host": host,
        "port": port,
        "workers": workers,
        "models": models,
        "state": state,
        "default_model": default_model,
        "runtime": runtime,
        "keys_file": keys_file,
        "allow_anonymous": allow_anonymous,
    }
    with quick_imports():
        settings = read_settings({name: value for name, value in given.items() if value is not None})
        check_store(settings)
        check_state(settings)
        check_tls(settings)
        check_grpc(settings)
    listener = listen(settings)
    take_all_descriptors(settings)
    with listener:
        if settings.workers == 1:
            run(settings, listener)
        else:
            run_workers(settings, listener)


_FIRST_PYDANTIC = "pydantic.v1"


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import, and declare routes, without work that nobody needs yet.

    The garbage collector finds nothing in what is imported, now or later. Models of pydantic are built when
    they are first used: FastAPI brings some fifty, which only the description of the service uses. Of each
    field FastAPI asks whether it is a model of pydantic's first version, which takes a twentieth of the start
    to import: here that is not installed.
    """
    gc.disable()
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    known = sys.modules.get(_FIRST_PYDANTIC)
    sys.modules[_FIRST_PYDANTIC] = known  # type: ignore[assignment]  # None: not installed
    try:
        yield
    finally:
        if known is None:
            del sys.modules[_FIRST_PYDANTIC]
        del BaseModel.model_config["defer_build"]
        gc.freeze()
        gc.enable()


def read_settings(options: dict[str, Any]) -> "Settings":
    """Options over environment over defaults. Raises CommandError, naming the setting."""
    from pydantic import ValidationError

    from service.settings import ENV_PREFIX, Settings, unknown_variables

    for name in unknown_variables(os.environ):
        if name not in _OTHER_VARIABLES:
            warn(f"{name} is no setting and is ignored; docs/settings.md lists them")
    try:
        return Settings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise CommandError(f"{name} ({ENV_PREFIX}{name.upper()}): {message}" if name else message) from None


# Used by other commands, and by the tests of this repository.
_OTHER_VARIABLES = frozenset({"OFFNORMAL_DATA", "OFFNORMAL_ENGINE", "OFFNORMAL_KEY", "OFFNORMAL_URL"})


def check_store(settings: "Settings") -> None:
    """Raises CommandError when there is nothing to serve."""
    from detector import ModelStore

    if not settings.models.is_dir():
        raise CommandError(f"{settings.models}: no such folder; --models names the model store")
    names = ModelStore(settings.models).names()
    if not names:
        raise CommandError(
            f"{settings.models}: no model in it, expected <name>/<version>/manifest.json; "
            "`offnormal train` makes one"
        )
    if settings.default_model is not None and settings.default_model not in names:
        raise CommandError(f"no model {settings.default_model!r} in {settings.models}: {', '.join(names)}")


def check_state(settings: "Settings") -> None:
    """Raises StateUnavailable when baselines could not be kept."""
    from service.models.choices import ChoicesFile
    from service.state import SqliteState

    SqliteState(settings.state, settings.max_assets).close()
    ChoicesFile(settings.state)


def check_tls(settings: "Settings") -> None:
    """Raises CommandError when the certificate and its key are not a pair that can be used."""
    import ssl

    if settings.tls_certificate is None:
        return
    try:
        # An empty password, or a key that is encrypted would have the library ask for one in the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=""
        )
    except OSError as error:  # those of the library among them
        pair = f"{settings.tls_certificate} and {settings.tls_key}"
        raise CommandError(f"{pair} cannot be used for TLS: {error.strerror or error}") from None


def check_grpc(settings: "Settings") -> None:
    """Raises CommandError when its port is taken, ModuleNotFoundError when the extra is not installed."""
    if settings.grpc_port is not None:
        import service.grpc.server  # noqa: F401

        bound(settings.host, settings.grpc_port, "OFFNORMAL_GRPC_PORT").close()


def listen(settings: "Settings") -> socket.socket:
    """A bound socket, so that a taken port is told before anything is loaded. Raises CommandError."""
    return bound(settings.host, settings.port, "--port")


def bound(host: str, port: int, name: str) -> socket.socket:
    """A socket bound to an address. name: of what chooses the port. Raises CommandError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CommandError(f"{host}: no address to listen on: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CommandError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another port with {name}"
        ) from None
    return listener


def take_all_descriptors(settings: "Settings") -> None:
    """As many open files as the system lets this process have: every connection is one."""
    if os.name == "nt":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < settings.max_connections + _OTHER_FILES:
        note(f"{limit} open files are allowed, so fewer than {settings.max_connections} connections fit")


def run(settings: "Settings", listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT. Raises typer.Exit when the service cannot start."""
    url = address_of(listener, settings)

    async def announce(resources: "Resources") -> None:
        say(await banner(resources, url))
        settle()

    with quick_imports():
        from cli.server import ListeningServer, settle
        from service.app import create_app

        app = create_app(settings, runtime_of(settings), announce)
    server = ListeningServer(server_config(settings, app), app, settings)
    note(f"listening on {url}, loading models from {settings.models}")
    server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(1)


def run_workers(settings: "Settings", listener: socket.socket) -> None:
    """The same with several processes. Raises typer.Exit with the exit code, CommandError on Windows."""
    if os.name == "nt":
        raise CommandError(
            "several workers need a Unix system; here the service is one process (--workers 1)"
        )
    from cli.workers import supervise

    raise typer.Exit(supervise(settings, listener, address_of(listener, settings)))


def server_config(
    settings: "Settings", app: "FastAPI", http: "type[asyncio.Protocol] | None" = None
) -> "uvicorn.Config":
    """How HTTP is spoken, by one process as by each of several."""
    import uvicorn

    from cli.protocol import protocol_of

    return uvicorn.Config(
        app,
        loop="uvloop" if os.name != "nt" else "auto",
        http=http or protocol_of(settings),
        ws="none",
        lifespan="on",
        log_config=log_config(settings.log_level),
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def runtime_of(settings: "Settings") -> "OpenRuntime":
    """The runtime that the settings name; TensorFlow is imported only when it is asked for."""
    if settings.runtime == "tensorflow":
        from training.keras_runtime import KerasRuntime

        return KerasRuntime
    from detector.onnx_runtime import OnnxRuntime

    return OnnxRuntime


def address_of(listener: socket.socket, settings: "Settings") -> str:
    """URL under which a person on this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def banner(resources: "Resources", url: str) -> str:
    """What is served, what was refused, and a request to try."""
    models = resources.models
    default = models.default()
    lines = []
    for version in models.all():
        if version.loaded:
            mark = "  (default)" if version.loaded is default else ""
            if models.live(version.name) is not version.loaded:
                mark = "  (only where it is named)"
            lines.append(f"model {version.name} version {version.number} loaded{mark}")
        else:
            lines.append(f"model {version.name} version {version.number} REFUSED: {version.reason}")
    if default is None:
        lines.append(f"no default model: {url}/classify answers 503 until the store is mended")
        return "\n".join(lines)
    lines += [f"ready: {url}  (documentation: {url}/docs)", "try it:", "", await curl(resources, url), ""]
    return "\n".join(lines)


async def curl(resources: "Resources", url: str) -> str:
    """A command that posts the shortest window the default model judges."""
    import time

    from service.http.examples import make_examples

    examples = await make_examples(resources.models.find(), time.monotonic() + _EXAMPLE_TIMEOUT_S)
    key = "" if not resources.keyring.enabled else " -H 'X-API-Key: YOUR KEY'"
    rows = [json.dumps(row, separators=(",", ":")) for row in examples.short]
    lines = [f"curl -s {url}/classify -H 'Content-Type: application/json'{key} -d '"]
    line = '{"window":['
    for row in [*(f"{row}," for row in rows[:-1]), f"{rows[-1]}]}}'"]:
        if len(line) + len(row) > _LINE:
            lines.append(line)
            line = ""
        line += row
    return "\n".join([*lines, line])


def log_config(level: str) -> dict[str, Any]:
    """Every log line is one JSON object on standard output; people are spoken to on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "service.http.request_log.JsonLines"}},
        "handlers": {
            "out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
        },
        "loggers": {
            "service": {"handlers": ["out"], "level": level.upper(), "propagate": False},
            "opentelemetry": {"handlers": ["out"], "level": "WARNING", "propagate": False},
            "uvicorn": {"handlers": ["out"], "level": "WARNING", "propagate": False},
        },
    }
