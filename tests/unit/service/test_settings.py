"""Settings hold together, and an open door is never an accident."""

import pytest
from pydantic import ValidationError

from service.settings import Settings, is_loopback, unknown_variables


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.5", False),
        ("plant.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_other_address_needs_keys_or_an_explicit_word() -> None:
    with pytest.raises(ValidationError, match="OFFNORMAL_KEYS_FILE"):
        Settings(host="0.0.0.0")
    assert Settings(host="0.0.0.0", allow_anonymous=True).host == "0.0.0.0"
    assert Settings(host="0.0.0.0", keys_file="keys.json").host == "0.0.0.0"


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFNORMAL_MAX_BODY_MB", "1.5")
    monkeypatch.setenv("OFFNORMAL_DEFAULT_MODEL", "")
    settings = Settings()
    assert settings.max_body_bytes == 1_500_000
    assert settings.default_model is None


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_windows": 100, "queue_windows": 99},
        {"max_body_mb": 300},
        {"port": 70000},
        {"request_timeout_s": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_that_contradict_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_misspelt_variables_are_found() -> None:
    assert unknown_variables(["OFFNORMAL_PORT", "OFFNORMAL_PROT", "PORT", "offnormal_host"]) == [
        "OFFNORMAL_PROT"
    ]
