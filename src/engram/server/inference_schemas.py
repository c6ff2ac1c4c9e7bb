"""What goes over the wire under /v2: the models of the Open Inference Protocol, version 2.

Source: the protocol's specification, github.com/kserve/open-inference-protocol, and its binary tensor data extension.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from engram import __version__
from engram.server.wire import Whole, about


class ServerMetadata(BaseModel):
    model_config = about({"name": "engram", "version": __version__, "extensions": ["binary_tensor_data"]})

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    model_config = about(
        {"name": "flowers", "versions": ["42"], "platform": "engram",
         "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 1280]}],
         "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}]}
    )

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(BaseModel):
    model_config = about({"live": True})

    live: bool


class Ready(BaseModel):
    model_config = about({"ready": True})

    ready: bool


class ModelReady(BaseModel):
    model_config = about({"name": "flowers", "ready": True})

    name: str
    ready: bool


Parameters = dict[str, StrictStr | StrictInt | StrictFloat | StrictBool]


class InputTensor(BaseModel):
    name: Annotated[StrictStr, Field(min_length=1, max_length=64)]
    shape: Annotated[list[Annotated[Whole, Field(ge=0, le=2**31)]], Field(min_length=1, max_length=3, fail_fast=True)]
    datatype: Literal["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
                      "FP64", "BYTES"]
    parameters: Parameters | None = None
    data: list[Any] | None = Field(None, description="Flat or nested. Left out if it follows the JSON as bytes.")


class RequestedOutput(BaseModel):
    name: Literal["label", "known", "confidence", "focus", "familiarity", "values", "intervals"]
    parameters: Parameters | None = None


class Infer(BaseModel):
    model_config = about(
        {"id": "1", "inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [0.95, 0.1]}],
         "outputs": [{"name": "label"}, {"name": "confidence"}]}
    )

    id: Annotated[StrictStr, Field(max_length=256)] | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1, fail_fast=True)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=5, fail_fast=True)] | None = None


class OutputTensor(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class Inferred(BaseModel):
    model_config = about(
        {"model_name": "flowers", "model_version": "42", "id": "1",
         "outputs": [{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["right"]}]}
    )

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
