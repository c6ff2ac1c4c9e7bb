"""How a slow network learns for a lifetime: one method, one file. `STRATEGIES` lists them; each can be imported from
here by the name of its class, and is loaded then."""

from __future__ import annotations

from typing import Any

from engram.extension import Extension, Extensions

HOME = "engram.networks.strategies."
PERCEPTRON = {"name": "perceptron", "hidden": [400, 400]}  # that of van de Ven, Tolias 2018 for Split-MNIST
LENET = {"name": "perceptron", "hidden": [300, 100]}  # LeNet-300-100: LeCun et al. 1998

STRATEGIES = Extensions("strategy", {
    "naive": Extension(
        path=HOME + "naive:Naive", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="keeps nothing: the lower bound",
    ),
    "joint": Extension(
        path=HOME + "joint:Joint", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="trains on everything that ever arrived: the upper bound",
    ),
    "experience_replay": Extension(
        path=HOME + "experience_replay:ExperienceReplay", takes=("arrays",), needs=("train",), short=("er",),
        settings={"network": PERCEPTRON},
        summary="mixes a few kept examples into every step", source="Chaudhry et al. 2019",
    ),
    "elastic_weight_consolidation": Extension(
        path=HOME + "elastic_weight_consolidation:ElasticWeightConsolidation", takes=("arrays",), needs=("train",),
        short=("ewc",), settings={"network": PERCEPTRON},
        summary="holds the weights that mattered", source="Kirkpatrick et al. 2017",
    ),
    "dark_experience_replay": Extension(
        path=HOME + "dark_experience_replay:DarkExperienceReplay", takes=("arrays",), needs=("train",),
        short=("derpp", "der"), settings={"network": PERCEPTRON},
        summary="replays kept examples with the answers of their time (DER++; with beta=0 DER)",
        source="Buzzega et al. 2020",
    ),
    "averaged_gradient_episodic_memory": Extension(
        path=HOME + "averaged_gradient_episodic_memory:AveragedGradientEpisodicMemory", takes=("arrays",),
        needs=("train",), short=("agem", "a-gem"), settings={"network": PERCEPTRON},
        summary="turns each step away from what would raise the loss on kept examples", source="Chaudhry et al. 2019",
    ),
    "icarl": Extension(
        path=HOME + "icarl:ICaRL", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="answers by the nearest mean of kept examples; former answers teach it", source="Rebuffi et al. 2017",
    ),
    "latent_replay": Extension(
        path=HOME + "latent_replay:LatentReplay", takes=("arrays",), needs=("train",), short=("latent",),
        settings={"network": PERCEPTRON},
        summary="replays what a frozen lower part made of kept examples", source="Pellegrini et al. 2020",
    ),
    "ar1": Extension(
        path=HOME + "ar1:AR1", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="averages the output weights of each label, and holds the others; with latent replay if so wished",
        source="Lomonaco et al. 2020",
    ),
    "remind": Extension(
        path=HOME + "remind:REMIND", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="replays codes of a few bytes of what a frozen lower part made of examples", source="Hayes et al. 2020",
    ),
    "synaptic_intelligence": Extension(
        path=HOME + "synaptic_intelligence:SynapticIntelligence", takes=("arrays",), needs=("train",), short=("si",),
        settings={"network": PERCEPTRON},
        summary="holds the weights that the loss fell by", source="Zenke, Poole, Ganguli 2017",
    ),
    "memory_aware_synapses": Extension(
        path=HOME + "memory_aware_synapses:MemoryAwareSynapses", takes=("arrays",), needs=("train",), short=("mas",),
        settings={"network": PERCEPTRON},
        summary="holds the weights that the answers depend on", source="Aljundi et al. 2018",
    ),
    "learning_without_forgetting": Extension(
        path=HOME + "learning_without_forgetting:LearningWithoutForgetting", takes=("arrays",), needs=("train",),
        short=("lwf",), settings={"network": PERCEPTRON},
        summary="agrees with its former answers on new inputs", source="Li, Hoiem 2016",
    ),
    "incremental_moment_matching": Extension(
        path=HOME + "incremental_moment_matching:IncrementalMomentMatching", takes=("arrays",), needs=("train",),
        short=("imm",), settings={"network": PERCEPTRON},
        summary="answers with the average of each task's own weights", source="Lee et al. 2017",
    ),
    "energy_based_model": Extension(
        path=HOME + "energy_based_model:EnergyBasedModel", takes=("arrays",), needs=("train",), short=("ebm",),
        settings={"network": PERCEPTRON},
        summary="judges pairs of input and label, taught with one wrong label at a time", source="Li et al. 2020",
    ),
    "gradient_projection_memory": Extension(
        path=HOME + "gradient_projection_memory:GradientProjectionMemory", takes=("arrays",), needs=("train",),
        short=("gpm",), settings={"network": PERCEPTRON},
        summary="steps only where former inputs do not notice", source="Saha, Garg, Roy 2021",
    ),
    "variational_continual_learning": Extension(
        path=HOME + "variational_continual_learning:VariationalContinualLearning", takes=("arrays",),
        needs=("train",), short=("vcl",), settings={"network": PERCEPTRON},
        summary="has a distribution of the weights, which is the prior of what comes", source="Nguyen et al. 2018",
    ),
    "context_dependent_gating": Extension(
        path=HOME + "context_dependent_gating:ContextDependentGating", takes=("arrays",), needs=("train",),
        short=("xdg",), settings={"network": PERCEPTRON},
        summary="switches off another random set of units in each task", source="Masse, Grant, Freedman 2018",
    ),
    "packnet": Extension(
        path=HOME + "packnet:PackNet", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="prunes after each task, leaves what is free to the next, and holds the rest",
        source="Mallya, Lazebnik 2018",
    ),
    "hard_attention": Extension(
        path=HOME + "hard_attention:HardAttention", takes=("arrays",), needs=("train",), short=("hat",),
        settings={"network": PERCEPTRON},
        summary="learns for each task which units it uses, and holds what these are made of",
        source="Serrà et al. 2018",
    ),
    "supermasks": Extension(
        path=HOME + "supermasks:Supermasks", takes=("arrays",), needs=("train",), short=("supsup",),
        settings={"network": PERCEPTRON},
        summary="learns for each task which of its random weights it uses, and never changes these",
        source="Wortsman et al. 2020",
    ),
    "active_dendrites": Extension(
        path=HOME + "active_dendrites:ActiveDendrites", takes=("arrays",), needs=("train",), short=("dendrites",),
        settings={"network": PERCEPTRON},
        summary="lets other units answer in each context, which their dendrites recognise", source="Iyer et al. 2022",
    ),
    "continual_backprop": Extension(
        path=HOME + "continual_backprop:ContinualBackprop", takes=("arrays",), needs=("train",), short=("cbp",),
        settings={"network": PERCEPTRON},
        summary="has the least useful units born again, so that it never stops learning", source="Dohare et al. 2024",
    ),
    "shrink_and_perturb": Extension(
        path=HOME + "shrink_and_perturb:ShrinkAndPerturb", takes=("arrays",), needs=("train",),
        short=("shrink-perturb",), settings={"network": PERCEPTRON},
        summary="shrinks all weights and adds noise before what is new", source="Ash, Adams 2020",
    ),
    "regenerative_regularisation": Extension(
        path=HOME + "regenerative_regularisation:RegenerativeRegularisation", takes=("arrays",), needs=("train",),
        short=("l2-init",), settings={"network": PERCEPTRON},
        summary="draws the weights back to where they began", source="Kumar, Marklund, Van Roy 2023",
    ),
    "redo": Extension(
        path=HOME + "redo:ReDo", takes=("arrays",), needs=("train",), settings={"network": PERCEPTRON},
        summary="has dormant units born again", source="Sokar et al. 2023",
    ),
    "generative_replay": Extension(
        path=HOME + "generative_replay:GenerativeReplay", takes=("arrays",), needs=("train",), short=("gr", "dgr"),
        settings={"network": PERCEPTRON},
        summary="a generator dreams what came before, and learns on", source="Shin et al. 2017",
    ),
    "generative_replay_with_distillation": Extension(
        path=HOME + "generative_replay:GenerativeReplay", takes=("arrays",), needs=("train",),
        short=("gr+distill", "dgr+distill"), settings={"network": PERCEPTRON, "distillation": True},
        summary="learns dreams with the answers that the network gave before", source="van de Ven, Tolias 2018",
    ),
    "neurogenesis": Extension(
        path=HOME + "neurogenesis:Neurogenesis", takes=("arrays",), needs=("train",), short=("cln",),
        settings={"network": PERCEPTRON},
        summary="grows new neurons for new labels, dreams the old ones, and lets dead neurons go",
        source="Draelos et al. 2017",
    ),
    "brain_inspired_replay": Extension(
        path=HOME + "brain_inspired_replay:BrainInspiredReplay", takes=("arrays",), needs=("train",), short=("bir",),
        settings={"network": PERCEPTRON},
        summary="the network itself dreams, through gated feedback connections", source="van de Ven et al. 2020",
    ),
    "grow_and_prune": Extension(
        path=HOME + "grow_and_prune:GrowAndPrune", takes=("arrays",), needs=("train",), settings={"network": LENET},
        summary="grows where new data ask for it, learns, and is pruned until it is compact again",
        source="US 12,393,842 B2",
    ),
    "train_from_scratch": Extension(
        path=HOME + "train_from_scratch:TrainFromScratch", takes=("arrays",), needs=("train",), short=("tfs",),
        settings={"network": LENET},
        summary="every time a new dense network, pruned", source="Han et al. 2015",
    ),
    "network_fine_tuning": Extension(
        path=HOME + "network_fine_tuning:NetworkFineTuning", takes=("arrays",), needs=("train",), short=("nft",),
        settings={"network": LENET},
        summary="opens all connections of the last network, trains and prunes it", source="US 12,393,842 B2",
    ),
    "nest": Extension(
        path=HOME + "nest:NeST", takes=("arrays",), needs=("train",), settings={"network": LENET},
        summary="every time a new network, grown from a sparse seed", source="Dai, Yin, Jha 2019",
    ),
    "dynamic_sparse_training": Extension(
        path=HOME + "dynamic_sparse_training:DynamicSparseTraining", takes=("arrays",), needs=("train",),
        settings={"network": LENET},
        summary="sparse from the first step on; connections move",
        source="Evci et al. 2020 (RigL), Mocanu et al. 2018 (SET)",
    ),
})
"""Every strategy by its name. To add one: a file in this folder, and a row here. `settings["network"]` is the `spec` of
the network that it trains where none is given, its inputs left out."""


def __getattr__(name: str) -> Any:
    for row in STRATEGIES.values():
        if row.attribute == name:
            return row.load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *(row.attribute for row in STRATEGIES.values())])
