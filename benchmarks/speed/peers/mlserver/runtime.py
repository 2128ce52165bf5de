"""MLServer with a runtime of one's own, as its guide on custom runtimes has it."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import Network
from place import model


class Classify(MLModel):
    async def load(self) -> bool:
        self.network = Network(model())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        windows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("answer", self.network.answer(windows))
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])
