"""The models that the service answers with: loaded, watched, switched, rolled back, tried in the shadow."""

from service.models.models import Models
from service.models.version import LoadedModel, Version

__all__ = ["LoadedModel", "Models", "Version"]
