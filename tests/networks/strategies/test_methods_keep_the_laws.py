"""The strategies that keep their connections keep the laws of a learner."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")

from engram.checks import learner_checks  # noqa: E402
from engram.checks.laws import diverged, new_labels  # noqa: E402
from engram.networks.strategies.active_dendrites import ActiveDendrites  # noqa: E402
from engram.networks.strategies.ar1 import AR1  # noqa: E402
from engram.networks.strategies.averaged_gradient_episodic_memory import (  # noqa: E402
    AveragedGradientEpisodicMemory,
)
from engram.networks.strategies.context_dependent_gating import ContextDependentGating  # noqa: E402
from engram.networks.strategies.continual_backprop import ContinualBackprop  # noqa: E402
from engram.networks.strategies.dark_experience_replay import DarkExperienceReplay  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.energy_based_model import EnergyBasedModel  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.gradient_projection_memory import GradientProjectionMemory  # noqa: E402
from engram.networks.strategies.hard_attention import HardAttention  # noqa: E402
from engram.networks.strategies.icarl import ICaRL  # noqa: E402
from engram.networks.strategies.incremental_moment_matching import IncrementalMomentMatching  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.latent_replay import LatentReplay  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.memory_aware_synapses import MemoryAwareSynapses  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.packnet import PackNet  # noqa: E402
from engram.networks.strategies.redo import ReDo  # noqa: E402
from engram.networks.strategies.regenerative_regularisation import RegenerativeRegularisation  # noqa: E402
from engram.networks.strategies.remind import REMIND  # noqa: E402
from engram.networks.strategies.shrink_and_perturb import ShrinkAndPerturb  # noqa: E402
from engram.networks.strategies.supermasks import Supermasks  # noqa: E402
from engram.networks.strategies.synaptic_intelligence import SynapticIntelligence  # noqa: E402
from engram.networks.strategies.variational_continual_learning import (  # noqa: E402
    VariationalContinualLearning,
)

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
    "xdg": partial(ContextDependentGating, NETWORK, gated=0.4, **FAST),
    "packnet": partial(PackNet, NETWORK, pruned=0.5, **FAST),
    "hat": partial(HardAttention, NETWORK, **{**FAST, "learning_rate": 0.05, "epochs": 16}),
    "supsup": partial(Supermasks, NETWORK, **{**FAST, "learning_rate": 0.1}),
    "dendrites": partial(ActiveDendrites, NETWORK, segments=2, winners=0.5, **FAST),
    "cbp": partial(ContinualBackprop, NETWORK, rate=0.01, maturity=10, **FAST),
    "redo": partial(ReDo, NETWORK, every=10, **FAST),
    "shrink-perturb": partial(ShrinkAndPerturb, NETWORK, **FAST),
    "l2-init": partial(RegenerativeRegularisation, NETWORK, **FAST),
    "imm": partial(IncrementalMomentMatching, NETWORK, samples=20, **FAST),
    "ebm": partial(EnergyBasedModel, NETWORK, **FAST),
    "gpm": partial(GradientProjectionMemory, NETWORK, samples=20, **FAST),
    "vcl": partial(VariationalContinualLearning, NETWORK, coreset=2, **FAST),
    "lwf": partial(LearningWithoutForgetting, NETWORK, weight=0.5, **FAST),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("check", learner_checks(stream=128), ids=str)
def test_a_method_keeps(check, method):
    recalls = check.test in (new_labels, diverged)  # the others compare a learner with itself, however well it learned
    check(METHODS[method] if recalls else partial(METHODS[method], epochs=2))
