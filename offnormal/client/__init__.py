"""A client of an Offnormal service, synchronous and asynchronous, with typed answers.

```python
from offnormal.client import Client, Window

with Client("http://127.0.0.1:8000") as client:
    answer = client.classify([Window(readings={"Pressure": [0.38, 0.41], "Current": [1.2, 1.3]})])
```
"""

from offnormal.client.answers import (
    AssetBaseline,
    AssetSummary,
    Classification,
    Contribution,
    Failure,
    Issue,
    ModelDetail,
    ModelList,
    ModelRef,
    ModelSummary,
    PartialClassification,
    ProblemDocument,
    Quality,
    Result,
    Sensor,
    SensorBaseline,
    VersionSummary,
    WindowShape,
)
from offnormal.client.asynchronous import AsyncClient
from offnormal.client.calls import Choices, Window
from offnormal.client.errors import ClientError, NotOffnormal, Problem, ServiceUnreachable
from offnormal.client.retries import Retries
from offnormal.client.synchronous import Client

__all__ = [
    "AssetBaseline",
    "AssetSummary",
    "AsyncClient",
    "Choices",
    "Classification",
    "Client",
    "ClientError",
    "Contribution",
    "Failure",
    "Issue",
    "ModelDetail",
    "ModelList",
    "ModelRef",
    "ModelSummary",
    "NotOffnormal",
    "PartialClassification",
    "Problem",
    "ProblemDocument",
    "Quality",
    "Result",
    "Retries",
    "Sensor",
    "SensorBaseline",
    "ServiceUnreachable",
    "VersionSummary",
    "Window",
    "WindowShape",
]
