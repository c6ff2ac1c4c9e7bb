"""Inputs -> features: networks, raw vectors, and the bundles that make them ready to be learned upon."""

KINDS = {
    "onnx": "engram.features.backbones.onnx:OnnxBackbone",
    "torch": "engram.features.backbones.torch_module:TorchBackbone",
    "descriptor": "engram.features.backbones.image_descriptor:DescriptorBackbone",
    "vectors": "engram.features.backbones.vectors:VectorBackbone",
    "hashed-ngrams": "engram.features.backbones.hashed_ngrams:HashedNgrams",
    "sentence-encoder": "engram.features.backbones.sentence_encoder:SentenceEncoder",
}
"""What a bundle can hold, by import path: each class is imported when a bundle needs it."""
