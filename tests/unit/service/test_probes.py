"""When a service says that it is ready."""

import threading
from types import SimpleNamespace

import pytest

from service.http.probes import unready_reason

LOADED = SimpleNamespace(ref=SimpleNamespace(name="pump", version=1))


def resources(default=LOADED, finished=True, starting=False, draining=False):
    def event(is_set):
        made = threading.Event()
        if is_set:
            made.set()
        return made

    models = SimpleNamespace(
        finished=finished, default=lambda: default, default_name=lambda: "pump", hanging=list
    )
    return SimpleNamespace(models=models, starting=event(starting), draining=event(draining))


@pytest.mark.parametrize("finished", [False, True], ids=["store half read", "store read"])
def test_a_service_of_one_process_is_ready_with_its_default_model(finished):
    assert unready_reason(resources(finished=finished)) is None


@pytest.mark.parametrize("finished", [False, True], ids=["store half read", "store read"])
def test_a_worker_is_ready_only_with_all_others(finished):
    assert "loa" in unready_reason(resources(finished=finished, starting=True))


def test_no_model_and_the_end_of_the_service_are_told_apart():
    assert unready_reason(resources(default=None, finished=False)) == "models are being loaded"
    assert unready_reason(resources(default=None)) == "the default model 'pump' is not loaded"
    assert unready_reason(resources(draining=True)) == "the service is shutting down"
