"""Inputs -> features: networks, raw vectors, and the bundles that make them ready to be learned upon."""

KINDS = {
    "onnx": "engram.backbones.onnx:OnnxBackbone",
    "torch": "engram.backbones.torch_module:TorchBackbone",
    "descriptor": "engram.backbones.image_descriptor:DescriptorBackbone",
    "vectors": "engram.backbones.vectors:VectorBackbone",
    "hashed-ngrams": "engram.backbones.hashed_ngrams:HashedNgrams",
    "sentence-encoder": "engram.backbones.sentence_encoder:SentenceEncoder",
}
"""What a bundle can hold, by import path: each class is imported when a bundle needs it."""
