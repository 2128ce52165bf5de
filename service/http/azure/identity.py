"""Models by the ids of the retired API, which are UUIDs."""

from functools import lru_cache
from uuid import NAMESPACE_URL, UUID, uuid5

from detector.errors import ModelNotFound
from service.errors import NotReady
from service.models import LoadedModel, Models, Version

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:offnormal:model")


@lru_cache(4096)
def model_id(name: str, number: int) -> str:
    """Of one version; the same wherever the version is copied to."""
    return str(uuid5(_NAMESPACE, f"{name}/{number}"))


def version_of(models: Models, given: str) -> Version | None:
    """The version that a UUID is the id of; None for one that is unknown, or no UUID."""
    try:
        wanted = str(UUID(given))
    except ValueError:
        return None
    return next((v for v in models.all() if model_id(v.name, v.number) == wanted), None)


def find(models: Models, given: str) -> LoadedModel:
    """By the id of a version, or by a model's name, which stands for the version that answers.

    Raises ModelNotFound, NotReady.
    """
    version = version_of(models, given)
    if version is not None:
        return models.find(version.name, version.number)
    try:
        UUID(given)
    except ValueError:
        return models.find(given)
    if not models.finished:
        raise NotReady("models are being loaded")
    raise ModelNotFound(f"no model has the id {given}; the list of models says which there are")
