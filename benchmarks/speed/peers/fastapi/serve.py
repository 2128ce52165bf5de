"""FastAPI as its tutorial has it: a pydantic body, a pydantic answer, uvicorn with uvloop and httptools.

`/empty` takes the same body and ignores it: the floor of this stack.
"""

import numpy as np
import uvicorn
from fastapi import FastAPI
from network import Network
from place import model, port
from pydantic import BaseModel

network = Network(model())
app = FastAPI()


class Question(BaseModel):
    window: list[list[float]]


class Answer(BaseModel):
    reconstruction_error: float
    probabilities: list[float]


# `async`, though it computes: a thread for each request would cost this peer more than it gives on one core.
@app.post("/classify")
async def classify(question: Question) -> Answer:
    error, *probabilities = network.answer(np.array([question.window], np.float64))[0].tolist()
    return Answer(reconstruction_error=error, probabilities=probabilities)


@app.post("/empty")
async def empty() -> dict[str, bool]:
    return {"ok": True}


@app.get("/ready")
async def ready() -> dict[str, bool]:
    return {"ready": True}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=port(), access_log=False, log_level="warning")
