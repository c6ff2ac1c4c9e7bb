"""One self-contained file for each published table or figure, and what runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from engram.lab.experiments import experiment as _experiment
from engram.lab.experiments import figures as _figures
from engram.lab.experiments.experiment import Experiment, ExperimentError, Progress, Setting, execute, silent
from engram.lab.experiments.figures import Finding
from engram.lab.experiments.result import Figure

EXPERIMENTS = {
    "ldnn-mnist": ("engram.lab.experiments.head.ldnn_mnist",
                   "ten digits from a stream of batches of ten, on a backbone that never saw one of them"),
    "ldnn-unknown": ("engram.lab.experiments.head.ldnn_unknown",
                     "recognising what was never taught: near and far unknowns, every score"),
    "ldnn-omniglot": ("engram.lab.experiments.head.ldnn_omniglot",
                      "136 to 1,623 characters: another domain than the backbone's, and very many classes"),
    "ldnn-photos": ("engram.lab.experiments.head.ldnn_photos",
                    "photographs one by one, class after class, with consolidation after each class"),
    "ldnn-meld": ("engram.lab.experiments.head.ldnn_meld",
                  "five devices melded against one that saw all; unlearning against never having seen"),
    "ldnn-consolidation": ("engram.lab.experiments.head.ldnn_consolidation",
                           "vectors kept against accuracy for every rule; gated learning"),
    "ldnn-intents": ("engram.lab.experiments.head.ldnn_intents",
                     "150 intents of a chatbot, new ones day by day, and queries out of scope"),
    "ldnn-line": ("engram.lab.experiments.head.ldnn_line",
                  "a production line: six kinds of steel defects arriving one after another"),
    "photo-backbone": ("engram.lab.experiments.pretraining.photo_backbone",
                       "the photo backbone that ships: few photographs, steel defects, its speed and its size"),
    "lite0": ("engram.lab.experiments.pretraining.lite0",
              "the photo backbone of the extra [photos]: few photographs, what is unknown, and its speed"),
    "open-set": ("engram.lab.experiments.head.open_set",
                 "known and unknown in ordinary use, from few examples, beside simple rivals"),
    "readout": ("engram.lab.experiments.head.readout",
                "the head's read-out beside scikit-learn's classifiers, from one example of each class to all"),
    "corrections": ("engram.lab.experiments.head.corrections",
                    "wrong labels that the audit finds, and strangers that counterexamples turn away"),
    "feature-quality": ("engram.lab.experiments.pretraining.feature_quality",
                        "which training of a backbone makes the fast head good: recipes on families of networks"),
    "split-mnist": ("engram.lab.experiments.strategies.split_mnist",
                    "digits two by two, task-, domain- and class-incremental: replay, EWC, LwF and their bounds"),
    "growprune-deepspeech2": ("engram.lab.experiments.grow_and_prune.growprune_deepspeech2",
                              "speech that arrives in portions: a recogniser with H-LSTM layers that grows and prunes"),
    "growprune-new-data-first": ("engram.lab.experiments.grow_and_prune.growprune_new_data_first",
                                 "what an update costs when new data are learned first, beside all data merged"),
    "growprune-recoverable": ("engram.lab.experiments.grow_and_prune.growprune_recoverable",
                              "how small a network can be pruned, and whether it can grow again afterwards"),
    "growprune-connectivity": ("engram.lab.experiments.grow_and_prune.growprune_connectivity",
                               "where connections grow: a map of the pixels before and after new digits arrive"),
    "growprune-long": ("engram.lab.experiments.grow_and_prune.growprune_long",
                       "a hundred updates: neurons alive and accuracy, recoverable pruning or not"),
    "growprune-resnet18": ("engram.lab.experiments.grow_and_prune.growprune_resnet18",
                           "photographs that arrive in portions: ResNet-18, narrow on a CPU, whole on a GPU"),
    "growprune-lenet300": ("engram.lab.experiments.grow_and_prune.growprune_lenet300",
                           "ten portions of MNIST to LeNet-300-100: small, accurate and cheap to update after each"),
    "growprune-lenet5": ("engram.lab.experiments.grow_and_prune.growprune_lenet5",
                         "the same with LeNet-5, and how small it gets when it need not grow again"),
    "growprune-patent": ("engram.lab.experiments.grow_and_prune.growprune_patent",
                         "the published recipe of growing and pruning and its three baselines, in their own length"),
}
"""Every experiment: name -> (module, what it shows). An experiment that is not in this table does not exist."""

__all__ = [
    "EXPERIMENTS", "ExperimentError", "Figure", "Finding", "Setting", "check_figures", "collect_figures",
    "expected_figures", "list_experiments", "load_experiment", "result_file", "run_experiment", "settings_of",
]


def list_experiments() -> dict[str, str]:
    """Every experiment's name with one sentence of what it shows.

    >>> "ldnn-mnist" in list_experiments()
    True
    """
    return {name: summary for name, (_, summary) in EXPERIMENTS.items()}


def load_experiment(name: str) -> Experiment:
    """The module of an experiment.

    Raises:
        ExperimentError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise ExperimentError(f"Unknown experiment {name!r}. Choose from: {', '.join(EXPERIMENTS)}.")
    return cast(Experiment, import_module(EXPERIMENTS[name][0]))


def settings_of(name: str) -> list[Setting]:
    """Every setting of an experiment, with its default and its meaning.

    Raises:
        ExperimentError: an unknown experiment.
    """
    return _experiment.settings_of(load_experiment(name))


def result_file(name: str, out: str | Path = "results", settings: Mapping[str, Any] | None = None) -> Path:
    """Where `run_experiment` writes the result of these settings; its plot lies beside it.

    Raises:
        ExperimentError: an unknown experiment or setting.
    """
    return _experiment.result_file(name, load_experiment(name), Path(out), settings or {})


def run_experiment(
    name: str,
    seeds: int | Iterable[int] = 5,
    out: str | Path = "results",
    progress: Progress = silent,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """Run an experiment, going on where an interrupted run stopped. See `experiment.execute`.

    Raises:
        ExperimentError: an unknown experiment or setting.
    """
    return execute(name, load_experiment(name), seeds, Path(out), progress, settings, fresh)


def expected_figures() -> dict[str, Figure]:
    """Every figure that is to be published, with its floor."""
    expected = dict(_figures.BENCHMARK_FIGURES)
    for name in EXPERIMENTS:
        expected.update(load_experiment(name).FIGURES)
    return expected


def collect_figures(results: str | Path = "results") -> dict[str, Any]:
    """Write `figures.json` from the result files of a folder, and return it."""
    return _figures.collect(Path(results))


def check_figures(results: str | Path = "results") -> list[Finding]:
    """The figures below their floor or not measured; an empty list when all is well."""
    return _figures.check(Path(results), expected_figures())
