"""Everything that can be set from outside: environment variables, prefix `OFFNORMAL_`."""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "OFFNORMAL_"
MEGABYTE = 1_000_000
# `*` is none: pages that may read answers are to be named.
_ORIGIN = re.compile(r"https?://[\w.-]+(:\d{1,5})?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?", re.ASCII)


class Settings(BaseSettings):
    """Frozen settings of one service; a unit ends a name. Raises pydantic's ValidationError."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    grpc_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port for gRPC, which needs the extra `grpc`; if not set, there is no gRPC.",
    )
    workers: PositiveInt = Field(
        1, description="Processes that answer behind the one port; each loads every model."
    )
    models: Path = Field(Path("models"), description="Folder of the model store.")
    state: Path = Field(Path("state"), description="Folder in which asset baselines are kept.")
    data_root: Path | None = Field(
        None,
        description="Folder whose files requests of the Azure door may name; if not set, they may name none.",
    )
    train_recipe: Path | None = Field(
        None, description="TOML recipe of trainings that requests of the Azure door start."
    )
    default_model: str | None = Field(
        None,
        description="Model that answers requests that name none; if not set, the first by name that loads.",
    )
    versions_per_model: PositiveInt = Field(
        3, description="How many of a model's newest good versions are loaded."
    )
    models_poll_s: NonNegativeFloat = Field(
        5.0, description="How often the store is looked at for new versions; 0: only when somebody asks."
    )
    models_mb: PositiveFloat = Field(
        512.0,
        description="Megabytes that the networks of all models may take in each worker; beyond it those used "
        "longest ago are closed, and opened again on demand.",
    )
    runtime: Literal["onnx", "tensorflow"] = Field(
        "onnx", description="What runs the network; `tensorflow` needs the extra `train`."
    )
    runtime_threads: PositiveInt = Field(1, description="Threads that one model may use for one batch.")

    keys_file: Path | None = Field(
        None, description="JSON or TOML file of hashed API keys; without it no key is asked for."
    )
    allow_anonymous: bool = Field(
        False, description="Allow an address other than loopback without API keys; for closed networks."
    )
    docs: Literal["open", "key", "off"] = Field(
        "open", description="Who may see the page /docs: everybody, whoever has a key, or nobody."
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate and its chain; with it, HTTPS alone is spoken."
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    cors_origins: str | None = Field(
        None,
        description="Origins whose pages may read answers, separated by blanks; if not set, none may.",
    )

    request_timeout_s: PositiveFloat = Field(
        10.0, description="Longest time for one answer; the header Request-Timeout can shorten it."
    )
    commission_timeout_s: PositiveFloat = Field(
        120.0, description="Longest time for commissioning one asset."
    )
    max_wait_s: PositiveFloat = Field(
        1.0, description="Longest wait for its turn that a request may face, as estimated; else it gets 429."
    )
    hang_after_s: PositiveFloat = Field(60.0, description="A batch that runs longer makes /livez fail.")
    drain_s: NonNegativeFloat = Field(
        1.0, description="After SIGTERM: time between becoming unready and closing the port."
    )
    shutdown_timeout_s: PositiveInt = Field(
        20, description="Longest wait at shutdown for requests that are under way, whole seconds."
    )

    head_timeout_s: PositiveFloat = Field(
        20.0, description="Longest wait for the whole head of a request; then the connection is closed."
    )
    keep_alive_s: PositiveInt = Field(
        75,
        description="How long a connection may be idle between two requests, whole seconds; "
        "longer than a proxy in front keeps it.",
    )
    unread_timeout_s: PositiveFloat = Field(
        30.0, description="A client that takes nothing of its answer for so long is given up."
    )

    max_body_mb: PositiveFloat = Field(32.0, description="Largest body, megabytes, after decompression.")
    max_bodies_mb: PositiveFloat = Field(
        256.0, description="All bodies under way together, megabytes; beyond it requests get 429."
    )
    max_windows: PositiveInt = Field(1024, description="Most windows of one request.")
    max_steps: PositiveInt = Field(
        100_000, description="Most steps of one window, and rows of one commissioning."
    )
    queue_windows: PositiveInt = Field(
        8192, description="Windows that may wait for one model; beyond it requests get 429."
    )
    batch_windows: PositiveInt = Field(64, description="Most windows that are run at once.")
    max_head_kb: PositiveInt = Field(
        64, description="Largest head of a request, kilobytes: its line and all headers."
    )
    max_connections: PositiveInt = Field(
        16_384, description="Most connections at once to one worker; further ones get 503 and are closed."
    )
    requests_per_s: PositiveFloat | None = Field(
        None,
        description="Requests per second of one API key, or of one address without keys; "
        "beyond it they get 429. If not set, as many as there are.",
    )
    request_burst_s: PositiveFloat = Field(
        2.0, description="So many seconds' worth of a caller's requests may come at once."
    )
    max_assets: PositiveInt = Field(10_000, description="Most asset baselines that are kept.")
    metric_assets: PositiveInt = Field(
        200,
        description="Pairs of model version and asset with metrics of their own; "
        "further ones are counted as asset `other`.",
    )

    tracing_endpoint: str | None = Field(
        None,
        pattern=r"^https?://",
        description="Where traces are sent: OTLP over HTTP, with its path, e.g. "
        "`http://127.0.0.1:4318/v1/traces`; none are made if not set. Needs the extra `otel`.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level of log lines; requests are logged at `info`."
    )

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.max_windows > self.queue_windows:
            raise ValueError(
                "queue_windows must be at least max_windows, or a full request could never be queued"
            )
        if self.max_body_mb > self.max_bodies_mb:
            raise ValueError("max_bodies_mb must be at least max_body_mb")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: one of them is not set")
        if wrong := [origin for origin in self.origins if not _ORIGIN.fullmatch(origin)]:
            raise ValueError(
                f"cors_origins: {wrong[0]!r} is no origin like https://plant.example:8443, without a path"
            )
        if not (self.keys_file or self.allow_anonymous or is_loopback(self.host)):
            raise ValueError(
                f"listening on {self.host} without API keys would let anyone on the network in: set "
                f"{ENV_PREFIX}KEYS_FILE, or {ENV_PREFIX}ALLOW_ANONYMOUS=true where the network is closed"
            )
        return self

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * MEGABYTE)

    @property
    def origins(self) -> list[str]:
        return (self.cors_origins or "").split()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Variables that look like settings but are none: misspelt, most likely."""
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(
        name for name in environment if name.upper().startswith(ENV_PREFIX) and name.upper() not in known
    )
