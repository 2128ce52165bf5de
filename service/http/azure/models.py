"""Models of the store, and those that are being trained, as the retired API lists them."""

from collections.abc import Sequence
from urllib.parse import urlencode

from detector.errors import ModelNotFound
from service.http import locate
from service.http.azure import identity, wire
from service.http.azure.refusals import Refusal
from service.jobs.training import Training
from service.models import LoadedModel, Version
from service.resources import Resources

# As documented: how many models a list holds unless more are asked for, and how many there may be.
PAGE, MOST_MODELS = 10, 300


def describe(resources: Resources, given: str) -> wire.Model:
    """A model by its id or its name. Raises ModelNotFound, NotReady."""
    training = resources.jobs.trainings.find(given)
    version = identity.version_of(resources.models, given)
    if version is None and training is None:
        loaded = identity.find(resources.models, given)
        version = Version(loaded.ref.name, loaded.ref.version, "ready", loaded)
    if version is None or version.loaded is None:
        if training is None:
            assert version is not None
            raise ModelNotFound(f"{version.name} {version.number} is {version.state}: {version.reason}")
        return _trained(training, None)
    return _trained(training, version.loaded) if training else _stored(version.loaded)


def all_models(resources: Resources) -> list[wire.Model]:
    """Those that answer and those that the API was asked to train, the latest first."""
    trainings = {training.model_id: training for training in resources.jobs.trainings.all()}
    found = []
    for version in resources.models.all():
        if version.loaded is not None:
            training = trainings.pop(identity.model_id(version.name, version.number), None)
            found.append(_trained(training, version.loaded) if training else _stored(version.loaded))
    found += [_trained(training, None) for training in trainings.values()]
    return sorted(found, key=lambda model: model.last_updated_time, reverse=True)


def page(found: Sequence[wire.Model], skip: int, top: int, url: str) -> wire.ModelList:
    """url: of the list, without parameters."""
    rest = len(found) - skip - top
    following = urlencode({"skip": skip + top, "top": top})
    return wire.ModelList(
        models=list(found[skip : skip + top]),
        current_count=len(found),
        max_count=MOST_MODELS,
        next_link=f"{url}?{following}" if rest > 0 else None,
    )


def number(given: str | None, name: str, unless: int) -> int:
    """A parameter of the list. Raises Refusal."""
    if given is None:
        return unless
    if not given.isascii() or not given.isdigit() or len(given) > 9 or (name == "top" and int(given) == 0):
        raise Refusal(
            "InvalidRequestParameterError",
            f"{name} is {locate.shown(given)!r}",
            place=f"query.{name}",
            expected="a whole number, not negative" if name == "skip" else "a whole number above 0",
        )
    return int(given)


def _stored(model: LoadedModel) -> wire.Model:
    """A model that was not trained through this API."""
    manifest = model.detector.manifest
    data = manifest.training_data
    return wire.Model(
        model_id=identity.model_id(model.ref.name, model.ref.version),
        created_time=manifest.created,
        last_updated_time=manifest.created,
        model_info=wire.ModelInfo(
            display_name=model.ref.name,
            status="READY",
            diagnostics_info=wire.DiagnosticsInfo(wire.ModelState(), _variables(model)),
            errors=[],
            start_time=data.start,
            end_time=data.end,
            sliding_window=manifest.window.steps,
        ),
        model=model.ref,
    )


def _trained(training: Training, model: LoadedModel | None) -> wire.Model:
    """A model that was; it is ready once it answers, not when its training ended."""
    order = training.order
    status = training.status
    if status == "READY" and model is None:
        status = "RUNNING"
    return wire.Model(
        model_id=training.model_id,
        created_time=training.created,
        last_updated_time=training.updated,
        model_info=wire.ModelInfo(
            display_name=order.display_name,
            status=status,
            diagnostics_info=wire.DiagnosticsInfo(wire.ModelState(), _variables(model) if model else []),
            errors=[wire.Error("TrainingFailed", training.reason)] if training.reason else [],
            data_source=order.data_source,
            data_schema=order.data_schema,
            start_time=order.start_time,
            end_time=order.end_time,
            sliding_window=model.detector.manifest.window.steps if model else order.sliding_window,
            align_policy=wire.AlignPolicy(order.align_mode, order.fill_na_method, order.padding_value),
        ),
        model=model.ref if model else None,
    )


def _variables(model: LoadedModel) -> list[wire.VariableState]:
    """The manifest does not say what was missing of each sensor."""
    manifest = model.detector.manifest
    data = manifest.training_data
    return [
        wire.VariableState(name, first_timestamp=data.start, last_timestamp=data.end)
        for name in manifest.sensor_names
    ]
