"""The methods of `GRPCInferenceService`."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from google.protobuf import message_factory

from service.grpc import open_inference_pb2 as pb
from service.grpc.calls import Answering, Call, Method
from service.grpc.messages import metadata_of, parameters_of, request_of, response_of
from service.http.keys import Role
from service.http.probes import unready_reason
from service.judging import judge
from service.open_inference import metadata, outputs
from service.open_inference.inference import Inference, find_model, patience_s, understand
from service.resources import Resources

NAME = "inference.GRPCInferenceService"
_CALLERS = frozenset({Role.CLASSIFY, Role.READ})
_CLASSIFY = frozenset({Role.CLASSIFY})


class InferenceService:
    """Answers messages with messages. release: the version of this service."""

    def __init__(self, resources: Resources, release: str) -> None:
        self._resources = resources
        self._release = release

    def methods(self) -> dict[str, Method]:
        """By path."""
        answering: Mapping[str, tuple[Answering, frozenset[Role] | None]] = {
            "ServerLive": (self.server_live, None),
            "ServerReady": (self.server_ready, None),
            "ServerMetadata": (self.server_metadata, None),
            "ModelReady": (self.model_ready, _CALLERS),
            "ModelMetadata": (self.model_metadata, _CALLERS),
            "ModelInfer": (self.model_infer, _CLASSIFY),
        }
        return {
            f"/{NAME}/{method.name}": Method(
                *answering[method.name],
                message_factory.GetMessageClass(method.input_type).FromString,
                message_factory.GetMessageClass(method.output_type).SerializeToString,
            )
            for method in pb.DESCRIPTOR.services_by_name[NAME.rpartition(".")[2]].methods
        }

    async def server_live(self, message: Any, call: Call) -> pb.ServerLiveResponse:
        del message, call
        return pb.ServerLiveResponse(live=not self._resources.models.hanging())

    async def server_ready(self, message: Any, call: Call) -> pb.ServerReadyResponse:
        del message, call
        return pb.ServerReadyResponse(ready=unready_reason(self._resources) is None)

    async def server_metadata(self, message: Any, call: Call) -> pb.ServerMetadataResponse:
        del message, call
        return pb.ServerMetadataResponse(
            name=metadata.SERVER_NAME, version=self._release, extensions=metadata.EXTENSIONS
        )

    async def model_ready(self, message: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        del call
        return pb.ModelReadyResponse(
            ready=metadata.answers(self._resources.models, message.name, message.version)
        )

    async def model_metadata(self, message: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        del call
        models = self._resources.models
        return metadata_of(metadata.describe(models, find_model(models, message.name, message.version)))

    async def model_infer(self, message: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        resources = self._resources
        size = message.ByteSize()
        with resources.bodies.hold() as hold:
            hold.take(size)
            started = time.perf_counter()
            inference = await resources.work(size, partial(self._read, message))
            resources.took(call.facts, "parse", time.perf_counter() - started)
            deadline = call.deadline
            patience = patience_s(parameters_of(message.parameters))
            if patience is not None:
                deadline = min(deadline, time.monotonic() + patience)
            verdicts = await judge(inference.task, resources, deadline, call.facts)
            started = time.perf_counter()
            answer = await resources.work(
                size, lambda: response_of(message, inference, outputs.tensors(inference, verdicts))
            )
            resources.took(call.facts, "encode", time.perf_counter() - started)
        return answer

    def _read(self, message: pb.ModelInferRequest) -> Inference:
        return understand(request_of(message), self._resources.models, self._resources.settings.max_windows)
