"""Between the protocol's messages and what they mean."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.errors import WrongContent
from service.grpc import open_inference_pb2 as pb
from service.open_inference import metadata, outputs
from service.open_inference.inference import Inference, Parameters, Request, check_input_parameters
from service.open_inference.tensors import BYTES, Tensor, dtype_of, from_binary, from_elements, to_binary

# Where InferTensorContents keeps elements of each type. FP16 can only come raw.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def request_of(message: pb.ModelInferRequest) -> Request:
    """Raises WrongContent, naming the place."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise WrongContent(
            f"there are {len(raw)} raw contents for {len(message.inputs)} inputs",
            place="raw_input_contents",
            expected="one for each input, in their order",
        )
    inputs = []
    for index, given in enumerate(message.inputs):
        place = f"inputs[{index}]"
        check_input_parameters(parameters_of(given.parameters), place)
        if not raw:
            inputs.append(_typed(given, f"{place}.contents"))
            continue
        if given.HasField("contents"):
            raise WrongContent(
                f"{place} has contents beside the raw ones",
                place=f"{place}.contents",
                expected="one of `contents` and `raw_input_contents`",
            )
        inputs.append(from_binary(given.name, given.datatype, given.shape, raw[index], place))
    return Request(
        message.model_name,
        message.model_version,
        inputs,
        parameters_of(message.parameters),
        [(output.name, parameters_of(output.parameters)) for output in message.outputs],
    )


def response_of(
    message: pb.ModelInferRequest, inference: Inference, tensors: Sequence[Tensor]
) -> pb.ModelInferResponse:
    """The answer to a request; raw where the request was."""
    ref = inference.task.model.ref
    response = pb.ModelInferResponse(
        model_name=ref.name,
        model_version=str(ref.version),
        id=message.id,
        parameters=_parameters(outputs.parameters(inference)),
    )
    for tensor in tensors:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if message.raw_input_contents:
            response.raw_output_contents.append(to_binary(tensor))
        else:
            elements: Iterable[Any] = tensor.elements.ravel().tolist()
            if tensor.datatype == BYTES:
                elements = [str(element).encode() for element in elements]
            getattr(output.contents, _CONTENTS[tensor.datatype]).extend(elements)
    return response


def metadata_of(described: metadata.ModelMetadata) -> pb.ModelMetadataResponse:
    def told(tensor: metadata.TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
        return pb.ModelMetadataResponse.TensorMetadata(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
        )

    return pb.ModelMetadataResponse(
        name=described.name,
        versions=described.versions,
        platform=described.platform,
        inputs=map(told, described.inputs),
        outputs=map(told, described.outputs),
        parameters=_parameters(described.parameters),
    )


def parameters_of(given: Mapping[str, pb.InferParameter]) -> dict[str, bool | int | float | str]:
    """Those that have a value."""
    found = {}
    for name, parameter in given.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(parameter, choice)
    return found


def _parameters(given: Parameters) -> dict[str, pb.InferParameter]:
    made = {}
    for name, value in given.items():
        if isinstance(value, bool):
            made[name] = pb.InferParameter(bool_param=value)
        elif isinstance(value, int):
            made[name] = pb.InferParameter(int64_param=value)
        elif isinstance(value, float):
            made[name] = pb.InferParameter(double_param=value)
        else:
            made[name] = pb.InferParameter(string_param=value)
    return made


def _typed(given: pb.ModelInferRequest.InferInputTensor, place: str) -> Tensor:
    dtype_of(given.datatype, place)
    used = [field.name for field, _ in given.contents.ListFields()]
    wanted = _CONTENTS.get(given.datatype)
    if wanted is None or any(name != wanted for name in used):
        raise WrongContent(
            f"{place} has {', '.join(used) or 'nothing'} for {given.datatype}",
            place=place,
            expected=f"{wanted or 'raw_input_contents'} for {given.datatype}",
        )
    elements: Sequence[Any] = getattr(given.contents, wanted)
    if given.datatype == BYTES:
        try:
            elements = [element.decode() for element in elements]
        except UnicodeDecodeError:
            raise WrongContent(f"{place} has text that is not UTF-8", place=place, expected="UTF-8") from None
    return from_elements(given.name, given.datatype, given.shape, list(elements), place)
