"""The door of the retired Azure API, driven by its own client over a socket; only endpoint and key differ."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.ai.anomalydetector import models as azure
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.contract.app import by_sensor, faulty, rows
from tests.e2e.server import Server, serving
from tests.plant import SENSORS, START

KEYS = {"detecting": ["classify"], "reading": ["read"], "deciding": ["admin"]}


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def server(
    trained_store: Path, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("azure")
    keys = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "roles": roles}
        for name, roles in KEYS.items()
    ]
    (folder / "keys.json").write_text(json.dumps({"keys": keys}))
    variables = {
        "OFFNORMAL_KEYS_FILE": str(folder / "keys.json"),
        "OFFNORMAL_DATA_ROOT": str(data_root),
    }
    with serving(trained_store, folder / "state", **variables) as server:
        yield server


def client_of(server: Server, key: str = "detecting") -> AnomalyDetectorClient:
    return AnomalyDetectorClient(server.url, AzureKeyCredential(key))


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[AnomalyDetectorClient]:
    with client_of(server) as client:
        yield client


def times(count: int, first: int = 0) -> list[datetime]:
    return [datetime.fromtimestamp(START + step, UTC) for step in range(first, first + count)]


def series(window: list[list[float]]) -> list[azure.VariableValues]:
    stamps = [moment.isoformat() for moment in times(len(window))]
    return [
        azure.VariableValues(variable=name, timestamps=stamps, values=values)
        for name, values in by_sensor(window).items()
    ]


def last(
    client: AnomalyDetectorClient, window: list[list[float]], model: str = "tiny", top: int = 10
) -> azure.MultivariateLastDetectionResult:
    options = azure.MultivariateLastDetectionOptions(variables=series(window), top_contributor_count=top)
    return client.detect_multivariate_last_anomaly(model, options)


def refusal(call: Any) -> HttpResponseError:
    with pytest.raises(HttpResponseError) as caught:
        call()
    return caught.value


def test_normal_window_is_no_anomaly_and_has_no_interpretation(client: AnomalyDetectorClient) -> None:
    (state,) = last(client, rows()).results
    assert state.timestamp == times(12)[-1]
    assert state.value.is_anomaly is False
    assert state.value.severity == 0.0
    assert 0.0 <= state.value.score <= 1.0
    assert state.value.interpretation == []


def test_fault_is_an_anomaly_that_names_its_variable_first(client: AnomalyDetectorClient) -> None:
    (state,) = last(client, faulty()).results
    assert state.value.is_anomaly is True
    assert 0.5 < state.value.severity <= 1.0
    assert 0.9 < state.value.score <= 1.0
    first, *others = state.value.interpretation
    assert first.variable == "Pressure"
    shares = [item.contribution_score for item in (first, *others)]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0)


def test_variables_that_no_longer_move_with_the_faulty_one_are_named(client: AnomalyDetectorClient) -> None:
    (state,) = last(client, faulty()).results
    changed = {
        item.variable: item.correlation_changes.changed_variables for item in state.value.interpretation
    }
    # In this plant Pressure and Flow move together closely; only Pressure moved.
    assert "Flow" in changed["Pressure"]
    assert "Pressure" in changed["Flow"]


def test_numbers_are_those_of_classify(server: Server, client: AnomalyDetectorClient) -> None:
    body = {"window": faulty(), "explain": True, "model": "tiny"}
    answer = httpx.post(server.url + "/classify", json=body, headers={"X-API-Key": "detecting"}).json()
    (result,) = answer["results"]
    (state,) = last(client, faulty()).results
    assert state.value.severity == pytest.approx(result["probabilities"]["anomalous"], abs=1e-9)
    assert state.value.score == pytest.approx(1 - result["p_value"], abs=1e-9)
    given = {item.variable: item.contribution_score for item in state.value.interpretation}
    assert given == pytest.approx({item["sensor"]: item["share"] for item in result["contributions"]})


def test_no_more_variables_are_named_than_were_asked_for(client: AnomalyDetectorClient) -> None:
    (state,) = last(client, faulty(), top=1).results
    assert [item.variable for item in state.value.interpretation] == ["Pressure"]


def test_answer_names_model_version_and_hash(client: AnomalyDetectorClient) -> None:
    model = last(client, rows())["model"]
    assert (model["name"], model["version"], len(model["sha256"])) == ("tiny", 2, 64)


def test_newest_rows_of_a_longer_series_are_judged(client: AnomalyDetectorClient) -> None:
    calm, faulted = rows(40), faulty(40)
    (state,) = last(client, calm[:28] + faulted[28:]).results
    assert state.value.is_anomaly is True
    (state,) = last(client, faulted[:28] + calm[28:]).results
    assert state.value.is_anomaly is False


def test_state_of_a_variable_counts_what_was_there(client: AnomalyDetectorClient) -> None:
    window: list[list[Any]] = [list(row) for row in rows()]
    for step in (0, 5, 11):
        window[step][1] = None
    states = {state.variable: state for state in last(client, window).variable_states}
    assert set(states) == set(SENSORS)
    assert states["Flow"].effective_count == 9
    assert states["Flow"].filled_n_a_ratio == pytest.approx(0.25)
    assert (states["Flow"].first_timestamp, states["Flow"].last_timestamp) == (times(12)[1], times(12)[10])
    assert states["Pressure"].filled_n_a_ratio == 0.0


def test_timestamp_without_enough_readings_has_an_error_in_place_of_a_value(
    client: AnomalyDetectorClient,
) -> None:
    window = [[row[0], None, None] for row in rows()]
    (state,) = last(client, window).results
    assert state.value is None
    assert [error.code for error in state.errors] == ["NoData"]


def without(field: str) -> dict[str, Any]:
    body = {"variables": [dict(item) for item in series(rows())], "topContributorCount": 3}
    del body["variables"][0][field]
    return body


def changed(**fields: Any) -> dict[str, Any]:
    """A request whose second variable has other fields."""
    body = {"variables": [dict(item) for item in series(rows())], "topContributorCount": 3}
    body["variables"][1] |= fields
    return body


STAMPS = [moment.isoformat() for moment in times(12)]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        pytest.param(changed(values=[1.0] * 11), "InvalidTimestampFormat", "variables[1]", id="lengths"),
        pytest.param(
            changed(timestamps=[*STAMPS[:-1], "2030-01-01T00:00:00Z"]),
            "MergeDataFailed",
            "variables[1].timestamps",
            id="other timestamps",
        ),
        pytest.param(
            changed(timestamps=["yesterday", *STAMPS[1:]]),
            "InvalidTimestampFormat",
            "variables[1].timestamps[0]",
            id="no timestamp",
        ),
        pytest.param(changed(variable="Speed"), "RedundantFile", "Speed", id="unknown variable"),
        pytest.param(changed(variable="Pressure"), "DuplicatedVariables", "Pressure", id="variable twice"),
        pytest.param(changed(values=["high"] * 12), "BadArgument", "variables[1].values[0]", id="no number"),
        pytest.param(without("values"), "BadArgument", "values", id="no values"),
        pytest.param({"variables": []}, "BadArgument", "variables", id="no variables"),
        pytest.param(
            {**changed(), "topContributorCount": 31}, "BadArgument", "topContributorCount", id="contributors"
        ),
        pytest.param(
            {"variables": [dict(item) for item in series(rows(3))]},
            "NotEnoughInput",
            "at least 4",
            id="short",
        ),
    ],
)
def test_bad_request_gets_the_documented_code_and_the_place(
    client: AnomalyDetectorClient, body: dict[str, Any], code: str, words: str
) -> None:
    error = refusal(lambda: client.detect_multivariate_last_anomaly("tiny", body))
    assert error.status_code == 400
    assert error.model.code == error.error.code == error.response.headers["x-ms-error-code"] == code
    assert words in error.model.message


def test_body_that_is_no_json_is_said_to_be_none(client: AnomalyDetectorClient) -> None:
    error = refusal(lambda: client.detect_multivariate_last_anomaly("tiny", b"{not json"))
    assert (error.status_code, error.model.code) == (400, "InvalidJsonFormat")


def test_fields_that_the_api_did_not_know_are_passed_over(client: AnomalyDetectorClient) -> None:
    body = {**changed(), "colour": "blue"}
    assert len(client.detect_multivariate_last_anomaly("tiny", body).results) == 1


@pytest.mark.parametrize("model", ["nothing", "00000000-0000-0000-0000-000000000000", "tiny.2"])
def test_unknown_model_does_not_exist(client: AnomalyDetectorClient, model: str) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        last(client, rows(), model)
    assert caught.value.error.code == "ModelNotExist"


def test_model_is_found_by_its_id_and_by_its_name(client: AnomalyDetectorClient) -> None:
    models = {
        (item["model"]["name"], item["model"]["version"]): item for item in client.list_multivariate_models()
    }
    for number in (1, 2):
        identity = models["tiny", number].model_id
        assert str(UUID(identity)) == identity
        assert client.get_multivariate_model(identity)["model"]["version"] == number
        assert last(client, rows(), identity)["model"]["version"] == number
    by_name = client.get_multivariate_model("tiny")
    assert by_name.model_id == models["tiny", 2].model_id
    assert by_name.model_info.status == "READY"
    assert by_name.model_info.sliding_window == 12
    states = by_name.model_info.diagnostics_info.variable_states
    assert [state.variable for state in states] == list(SENSORS)


def test_list_is_given_page_by_page(client: AnomalyDetectorClient) -> None:
    pages = [list(page) for page in client.list_multivariate_models(top=1).by_page()]
    assert [len(page) for page in pages] == [1, 1]
    assert {item["model"]["version"] for page in pages for item in page} == {1, 2}
    assert len(list(client.list_multivariate_models(skip=1))) == 1


def test_list_takes_the_parameters_of_the_documentation_too(server: Server) -> None:
    headers = {"Ocp-Apim-Subscription-Key": "reading"}
    url = server.url + "/anomalydetector/v1.1/multivariate/models"
    answer = httpx.get(url, params={"$skip": 1, "$top": 1}, headers=headers).json()
    assert (len(answer["models"]), answer["currentCount"]) == (1, 2)
    assert "nextLink" not in answer
    for wrong in ({"$top": "all"}, {"top": "0"}, {"skip": "-1"}):
        response = httpx.get(url, params=wrong, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "InvalidRequestParameterError")


def test_model_that_was_not_trained_here_is_not_removed(server: Server) -> None:
    with client_of(server, "deciding") as client:
        error = refusal(lambda: client.delete_multivariate_model("tiny"))
        assert error.status_code == 403
        assert client.get_multivariate_model("tiny").model_info.status == "READY"
        with pytest.raises(ResourceNotFoundError):
            client.delete_multivariate_model("nothing")


@pytest.mark.parametrize("key", ["wrong", ""])
def test_key_that_is_not_known_is_refused(server: Server, key: str) -> None:
    with client_of(server, key) as client, pytest.raises(ClientAuthenticationError) as caught:
        last(client, rows())
    assert caught.value.error.code == "401"


def test_key_without_the_role_may_not_detect(server: Server) -> None:
    with client_of(server, "reading") as client:
        assert refusal(lambda: last(client, rows())).status_code == 403
        assert len(list(client.list_multivariate_models())) == 2


@pytest.mark.parametrize(
    "call",
    ["detect_univariate_last_point", "detect_univariate_entire_series", "detect_univariate_change_point"],
)
def test_univariate_calls_are_not_offered_and_say_what_is(client: AnomalyDetectorClient, call: str) -> None:
    points = [azure.TimeSeriesPoint(timestamp=moment, value=1.0) for moment in times(12)]
    options = {"series": points, "granularity": "secondly"}
    error = refusal(lambda: getattr(client, call)(options))
    assert (error.status_code, error.model.code) == (501, "NotOffered")
    assert "detect-last" in error.model.message


def test_other_versions_of_the_api_are_not_there(server: Server) -> None:
    client = AnomalyDetectorClient(server.url, AzureKeyCredential("detecting"), api_version="v1.0")
    with client, pytest.raises(ResourceNotFoundError):
        client.get_multivariate_model("tiny")


def test_detections_are_counted_like_other_windows(server: Server, client: AnomalyDetectorClient) -> None:
    def count() -> float:
        text = httpx.get(server.url + "/metrics", headers={"X-API-Key": "reading"}).text
        lines = [line for line in text.splitlines() if line.startswith("offnormal_verdicts_total")]
        return float(np.sum([float(line.rsplit(" ", 1)[1]) for line in lines]))

    before = count()
    last(client, rows())
    assert count() == before + 1
