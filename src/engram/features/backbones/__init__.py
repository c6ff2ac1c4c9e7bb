"""Inputs -> features: networks, raw vectors, and the bundles that make them ready to be learned upon. `BACKBONES` lists
the kinds of them."""

from __future__ import annotations

from dataclasses import dataclass

from engram.extension import Extension, Extensions
from engram.features.cores import CORES


@dataclass(frozen=True, kw_only=True)
class Kind(Extension):
    """A row of `BACKBONES`.

    Attributes:
        first: the class method that makes it of the first inputs, where it is made of them: then its key is the name
            of a backbone for whoever has them (`engram teach new.brain pictures --backbone random-patches`). It is
            called with the inputs, `settings`, and what they are, where the row takes more than one kind.
        ready: whether it is called without arguments and gives a backbone, or a bundle with its statistics: then its
            key is the name of a backbone (`Brain("descriptor")`, `--backbone descriptor`) that needs no file.
    """

    first: str = ""
    ready: bool = False


BACKBONES = Extensions("kind of backbone", {
    "onnx": Kind(
        path="engram.features.backbones.onnx:OnnxBackbone", takes=("pictures", "vectors"),
        summary="a layer of a network in an ONNX file",
    ),
    "torch": Kind(
        path="engram.features.backbones.torch_module:TorchBackbone", takes=("pictures", "vectors"), needs=("train",),
        summary="a layer of a PyTorch module",
    ),
    "descriptor": Kind(
        path="engram.features.backbones.image_descriptor:DescriptorBackbone", takes=("pictures",), ready=True,
        summary="gradients and colours of a picture, measured by hand-made rules",
    ),
    "efficientnet-lite0": Kind(
        path="engram.features.backbones.efficientnet_lite0:efficientnet_lite0", takes=("pictures",), needs=("photos",),
        ready=True, summary="EfficientNet-Lite0 trained on ImageNet", source="Tan and Le 2019",
    ),
    "random-patches": Kind(
        path="engram.features.backbones.random_patches:RandomPatches", takes=("pictures",), first="cut",
        summary="filters cut from the first pictures themselves, for small grey textures", source="Coates et al. 2011",
    ),
    "patch-maps": Kind(
        path="engram.features.backbones.patch_maps:PatchMaps", takes=("pictures",),
        summary="what the early layers of a network see at each place of a picture", source="Roth et al. 2022",
    ),
    "good-parts": Kind(
        path="engram.features.backbones.patch_maps:good_parts", takes=("pictures",), ready=True,
        summary="patch maps of the packaged photo backbone: taught good parts alone, it shows where one is not",
    ),
    "log-mel": Kind(
        path="engram.features.backbones.log_mel:log_mel", takes=("sound",), ready=True,
        summary="power in mel bands over segments of time, with statistics of words and noises",
        source="Davis and Mermelstein 1980",
    ),
    "speech": Kind(
        path="engram.features.backbones.speech_embedding:speech", takes=("sound",), needs=("sound",), ready=True,
        summary="log-mel beside a network trained to tell spoken words apart", source="Lin et al. 2020",
    ),
    "speech-embedding": Kind(
        path="engram.features.backbones.speech_embedding:SpeechEmbedding", takes=("sound",),
        summary="log-mel beside a network for speech in an ONNX file",
    ),
    "mel-segments": Kind(
        path="engram.features.backbones.log_mel:MelSegments", takes=("sound",),
        summary="power in mel bands over segments of time",
    ),
    "vectors": Kind(
        path="engram.features.backbones.vectors:VectorBackbone", takes=("vectors",),
        summary="the vectors themselves, scaled",
    ),
    "hashed-ngrams": Kind(
        path="engram.features.backbones.hashed_ngrams:HashedNgrams", takes=("text",), ready=True,
        summary="words, pairs of words and pieces of words, hashed", source="Weinberger et al. 2009",
    ),
    "english-ngrams": Kind(
        path="engram.features.backbones.english_ngrams:english_ngrams", takes=("text",), ready=True,
        summary="hashed n-grams with statistics of English requests",
    ),
    "minilm": Kind(
        path="engram.features.backbones.sentence_encoder:minilm", takes=("text",), needs=("text",), ready=True,
        summary="all-MiniLM-L6-v2, a sentence encoder", source="Reimers and Gurevych 2019",
    ),
    "sentence-encoder": Kind(
        path="engram.features.backbones.sentence_encoder:SentenceEncoder", takes=("text",),
        summary="a transformer for sentences in an ONNX file, and its vocabulary",
    ),
    "sequence": Kind(
        path="engram.features.cores.sequence_backbone:SequenceBackbone", takes=("sequences", "sound"),
        summary="a core for streams, its outputs folded over time",
    ),
    **{
        name: Kind(
            path="engram.features.cores.sequence_backbone:SequenceBackbone", takes=("sequences", "sound"),
            first="hearing", settings={"core": name}, summary=row.summary, source=row.source,
        ) for name, row in CORES.items()
    },
})
"""Every kind that a bundle can hold. To add one: a file in this folder, and a row here."""
