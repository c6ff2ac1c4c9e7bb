"""The strategies that keep their connections keep the laws of a learner."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")

from engram.checks import learner_checks  # noqa: E402
from engram.networks.strategies.ar1 import AR1  # noqa: E402
from engram.networks.strategies.averaged_gradient_episodic_memory import (  # noqa: E402
    AveragedGradientEpisodicMemory,
)
from engram.networks.strategies.dark_experience_replay import DarkExperienceReplay  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.icarl import ICaRL  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.latent_replay import LatentReplay  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.memory_aware_synapses import MemoryAwareSynapses  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.remind import REMIND  # noqa: E402
from engram.networks.strategies.synaptic_intelligence import SynapticIntelligence  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [16]}
DEEPER = {"name": "perceptron", "inputs": [8], "hidden": [16, 16]}
FAST = {"epochs": 8, "batch": 16, "learning_rate": 0.02}
METHODS = {
    "naive": partial(Naive, NETWORK, **FAST),
    "joint": partial(Joint, NETWORK, **FAST),
    "replay": partial(ExperienceReplay, NETWORK, capacity=40, **FAST),
    "replay, class-balanced": partial(ExperienceReplay, NETWORK, capacity=40, keep="class-balanced", **FAST),
    "ewc": partial(ElasticWeightConsolidation, NETWORK, strength=1.0, samples=40, **FAST),
    "derpp": partial(DarkExperienceReplay, NETWORK, capacity=40, **FAST),
    "agem": partial(AveragedGradientEpisodicMemory, NETWORK, capacity=40, **FAST),
    "si": partial(SynapticIntelligence, NETWORK, **FAST),
    "mas": partial(MemoryAwareSynapses, NETWORK, strength=0.01, samples=20, **FAST),
    "icarl": partial(ICaRL, NETWORK, capacity=40, **FAST),
    "latent": partial(LatentReplay, DEEPER, capacity=40, codec="half", keep="herding", **FAST),
    "ar1": partial(AR1, DEEPER, capacity=40, **FAST),
    "remind": partial(REMIND, DEEPER, capacity=40, codec={"name": "product", "pieces": 8}, mixup=0.1, **FAST),
    "lwf": partial(LearningWithoutForgetting, NETWORK, weight=0.5, **FAST),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("check", learner_checks(stream=128), ids=str)
def test_a_method_keeps(check, method):
    check(METHODS[method])
