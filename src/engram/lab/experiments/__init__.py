"""One self-contained file for each published table or figure; what runs them, collects their figures from the result
files, never typed, and holds them against their floors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from engram.lab.experiments import experiment as _experiment
from engram.lab.experiments.experiment import Experiment, ExperimentError, Progress, Setting, execute, silent
from engram.lab.experiments.result import Figure, write_json

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
    "sentences": ("engram.lab.experiments.head.sentences",
                  "the backbones for sentences: 150 intents from one, five and twenty sentences each"),
    "sound": ("engram.lab.experiments.head.sound",
              "the backbone for sounds: spoken digits from one, five and twenty of each, and words never taught"),
    "several-labels": ("engram.lab.experiments.head.several_labels",
                       "several labels for one input: which digit is said and by whom, beside scikit-learn's models"),
    "modalities": ("engram.lab.experiments.head.modalities",
                   "one label seen, heard and read: what is told apart together, and by the best modality alone"),
    "ldnn-line": ("engram.lab.experiments.head.ldnn_line",
                  "a production line: six kinds of steel defects arriving one after another"),
    "anomaly": ("engram.lab.experiments.parts.anomaly",
                "good parts alone: surfaces and steel with faults, beside the nearest patches"),
    "locate": ("engram.lab.experiments.parts.locate",
               "where is it: five boxes taught of each of five things, found in other scenes"),
    "photo-backbone": ("engram.lab.experiments.pretraining.photo_backbone",
                       "the photo backbone that ships: few photographs, steel defects, its speed and its size"),
    "lite0": ("engram.lab.experiments.pretraining.lite0",
              "the photo backbone of the extra [photos]: few photographs, what is unknown, and its speed"),
    "open-set": ("engram.lab.experiments.head.open_set",
                 "known and unknown in ordinary use, from few examples, beside simple rivals"),
    "readout": ("engram.lab.experiments.head.readout",
                "the head's read-out beside scikit-learn's classifiers, from one example of each class to all"),
    "regression": ("engram.lab.experiments.head.regression",
                   "numbers as answers beside scikit-learn's ridge regression, at once and as kinds of inputs arrive"),
    "tables": ("engram.lab.experiments.head.tables",
               "tables as they are beside scikit-learn's discriminant analysis, logistic regression and neighbours"),
    "augmentation": ("engram.lab.experiments.head.augmentation",
                     "pictures taught with and without further views of them, from one example and from five"),
    "corrections": ("engram.lab.experiments.head.corrections",
                    "wrong labels that the audit finds, and strangers that counterexamples turn away"),
    "feature-quality": ("engram.lab.experiments.pretraining.feature_quality",
                        "which training of a backbone makes the fast head good: recipes on families of networks"),
    "split-mnist": ("engram.lab.experiments.strategies.split_mnist",
                    "digits two by two, task-, domain- and class-incremental: replay, EWC, LwF and their bounds"),
    "stability-gap": ("engram.lab.experiments.strategies.stability_gap",
                      "how far earlier digits fall while new ones are learned, and how much comes back"),
    "split-mnist-rehearsal": ("engram.lab.experiments.strategies.split_mnist_rehearsal",
                              "the same digits by what keeps examples, latents or codes, beside closed-form rivals"),
    "replay-or-not": ("engram.lab.experiments.strategies.replay_or_not",
                      "what replay gains and costs: how many examples, which, how often, and when it over-fits"),
    "split-mnist-isolation": ("engram.lab.experiments.strategies.split_mnist_isolation",
                              "digits two by two, each task with a part of one network: XdG, PackNet, HAT, supermasks"),
    "permuted-mnist": ("engram.lab.experiments.strategies.permuted_mnist",
                       "digits in ten orders of their pixels, one after another: SI, EWC, IMM, VCL, active dendrites"),
    "plasticity": ("engram.lab.experiments.strategies.plasticity",
                   "two hundred tasks, one after another: whether the last is learned as well as the first"),
    "split-mnist-weights": ("engram.lab.experiments.strategies.split_mnist_weights",
                            "digits two by two, nothing stored: SI, MAS, IMM, GPM, LwF with zero targets, EBM"),
    "split-mnist-dreams": ("engram.lab.experiments.strategies.split_mnist_dreams",
                           "digits two by two without a stored example: generative and brain-inspired replay"),
    "cln-mnist": ("engram.lab.experiments.strategies.cln_mnist",
                  "digits two by two: a network that grows for them and dreams those before, and without each part"),
    "evaluate-defaults": ("engram.lab.experiments.strategies.evaluate_defaults",
                          "what the terminal's comparison says of each strategy by default and at its best"),
    "random-patches": ("engram.lab.experiments.strategies.random_patches",
                       "digits two by two in one pass, nothing stored, on filters cut from the first images"),
    "narma10": ("engram.lab.experiments.cores.narma10",
                "a system of the tenth order that answers noise: reservoirs beside trivial rivals"),
    "mackey-glass": ("engram.lab.experiments.cores.mackey_glass",
                     "a chaotic series 84 steps ahead: a reservoir that hears its own predictions, beside rivals"),
    "lorenz": ("engram.lab.experiments.cores.lorenz",
               "how long cores stay with a chaotic trajectory, beside rivals that have no memory"),
    "spoken-digits": ("engram.lab.experiments.cores.spoken_digits",
                      "spoken digits heard by a core under the fast head: unseen speakers, a word taught live"),
    "half-cheetah": ("engram.lab.experiments.cores.half_cheetah",
                     "the next readings of a running robot: trained cores beside rivals without a memory"),
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


FIGURES_FILE = "figures.json"

# What benchmarks and test harnesses measure; they are no experiments, yet their figures stand beside theirs.
BENCHMARK_FIGURES = {
    "heads.teach-one-over-floor": Figure("teach-one-over-floor", "ratio", at_most=1.5),
    "heads.teach-many-share": Figure("teach-many-share", "ratio", at_least=0.8),
    "heads.over-river-knn": Figure("over-river-knn", "ratio", at_least=10.0),
    **{f"heads.raw-step-ms-{width}": Figure(f"raw-step-ms-{width}", "ms") for width in (64, 1280)},
    "heads.share-of-photo": Figure("share-of-photo", "%", at_most=5.0),
    "heads.learn-beside-asking": Figure("learn-beside-asking", "ratio", at_most=2.0),
    **{f"heads.{task}-us-{width}": Figure(f"{task}-us-{width}", "µs") for width in (64, 512)
       for task in ("teach-one", "teach-one-floor", "predict-one", "predict-one-floor")},
    "laws.answers-changed": Figure("answers-changed", "answers", at_most=0),
    "laws.answers-compared": Figure("answers-compared", "answers", at_least=100_000),
    "durability.kill9-lost": Figure("kill9-lost", "examples", at_most=0),
    "durability.kill9-acknowledged": Figure("kill9-acknowledged", "examples", at_least=5000),
    "durability.kill9-traces": Figure("kill9-traces", "places", at_most=0),
    "durability.promises-caught": Figure("promises-caught", "%", at_least=100),
    "durability.powercut-lost": Figure("powercut-lost", "states", at_most=0),
    "durability.powercut-states": Figure("powercut-states", "states", at_least=2000),
    "durability.mutation-caught": Figure("mutation-caught", "flag", at_least=1),
    "durability.faults-wrong": Figure("faults-wrong", "cases", at_most=0),
    "durability.faults-tried": Figure("faults-tried", "cases"),
    "forgetting.bytes-found": Figure("bytes-found", "places", at_most=0),
    "forgetting.searched": Figure("searched", "searches", at_least=1000),
    "server.fuzz-failures": Figure("fuzz-failures", "cases", at_most=0),
    "server.fuzz-cases": Figure("fuzz-cases", "cases", at_least=2000),
    "server.hostile-accepted": Figure("hostile-accepted", "cases", at_most=0),
    "server.hostile-tried": Figure("hostile-tried", "cases"),
    "server.fsyncs-per-teach-32": Figure("fsyncs-per-teach-32", "ratio", at_most=0.125),
    "server.teaches-per-s-32": Figure("teaches-per-s-32", "1/s"),
    "server.p99-slow-fsync-ms": Figure("p99-slow-fsync-ms", "ms", at_most=20),
    "server.p99-under-teaching": Figure("p99-under-teaching", "ratio", at_most=5),
    "server.overhead-binary-ms": Figure("overhead-binary-ms", "ms", at_most=1),
    "server.overhead-json-ms": Figure("overhead-json-ms", "ms", at_most=1.5),
    "server.keepalive-p50-ms": Figure("keepalive-p50-ms", "ms", at_most=2),
    "server.predict-over-health": Figure("predict-over-health", "ratio", at_least=0.5),
    "server.requests-per-s-1": Figure("requests-per-s-1", "1/s"),
    "server.requests-per-s-16": Figure("requests-per-s-16", "1/s"),
    "server.longest-wait-hostile-ms": Figure("longest-wait-hostile-ms", "ms", at_most=150),
    "server.hostile-memory-ratio": Figure("hostile-memory-ratio", "ratio", at_most=4),
    "brain.reopen-s": Figure("reopen-s", "s", at_most=3),
    "brain.replay-events-per-s": Figure("replay-events-per-s", "1/s", at_least=50_000),
    "cores.step-over-floor": Figure("step-over-floor", "ratio", at_most=3),
    "cores.export-difference": Figure("export-difference", "units of output", at_most=1e-5),
    "cores.float32-difference": Figure("float32-difference", "units of output"),
    "cores.teach-word-ms": Figure("teach-word-ms", "ms", at_most=30),
    "predictive-coding.gradient-error": Figure("predictive-gradient-error", "ratio", at_most=0.001),
    "predictive-coding.cost": Figure("predictive-cost", "ratio", at_most=3),
    "e-prop.gradient-error": Figure("gradient-error", "ratio", at_most=1e-5),
    "e-prop.memory-growth": Figure("memory-growth", "ratio", at_most=1.05),
    "sparse.gain-21k-1": Figure("gain-21k-1", "ratio", at_least=2),
    "sparse.gain-21k-128": Figure("gain-21k-128", "ratio", at_least=4),
    "sparse.gain-10k-1": Figure("gain-10k-1", "ratio", at_least=3.5),
    "sparse.gain-10k-128": Figure("gain-10k-128", "ratio", at_least=10),
    "sparse.gain-21k-1-blas": Figure("gain-21k-1-blas", "ratio"),
    "sparse.gain-4096-1": Figure("gain-4096-1", "ratio", at_least=8),
    "sparse.gain-4096-64": Figure("gain-4096-64", "ratio", at_least=6),
    "strategies.loop-overhead-10": Figure("loop-overhead-10", "ratio", at_most=1.10),
    "strategies.loop-overhead-128": Figure("loop-overhead-128", "ratio", at_most=1.10),
    "strategies.replay-growth": Figure("replay-growth", "ratio", at_most=1.2),
    "strategies.left-by-interruption": Figure("left-by-interruption", "cases", at_most=0),
    "memory.pq-over-faiss": Figure("pq-over-faiss", "ratio", at_most=1.02),
    "mutants.killed": Figure("killed", "%", at_least=95),
    **{f"mutants.killed-{room}": Figure(f"killed-{room}", "%", at_least=95)
       for room in ("exact-sums", "metrics", "event-log", "ledger", "strategies")},
    "mutants.planted": Figure("planted", "cases"),
    "page.flows-driven": Figure("flows-driven", "flows", at_least=12),
    "page.undo-requests": Figure("undo-requests", "requests", at_most=1),
}


def figures_of(subject: str) -> dict[str, Figure]:
    """The benchmark figures whose keys begin with a subject: what one benchmark passes to `result.build`.

    >>> sorted(figures_of("page"))
    ['page.flows-driven', 'page.undo-requests']
    """
    return {key: figure for key, figure in BENCHMARK_FIGURES.items() if key.split(".")[0] == subject}


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that is below its floor, or that nobody has measured.

    >>> str(Finding("a.b", "at least 99", 98.5))
    'a.b: 98.5, at least 99'
    >>> str(Finding("a.b", "at least 99", None))
    'a.b: not measured, at least 99'
    """

    key: str
    floor: str
    measured: float | None

    def __str__(self) -> str:
        measured = "not measured" if self.measured is None else f"{self.measured:g}"
        return f"{self.key}: {measured}, {self.floor}"


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
    expected = dict(BENCHMARK_FIGURES)
    for name in EXPERIMENTS:
        expected.update(load_experiment(name).FIGURES)
    return expected


def collect_figures(results: str | Path = "results") -> dict[str, Any]:
    """Gather the figures of every result file in a folder into its `figures.json`.

    Returns:
        key -> {"mean", "sd", "n", "unit", "published", "source", "command"}, sorted by key.

    Raises:
        ExperimentError: a result file that is damaged.
    """
    figures: dict[str, Any] = {}
    for path in sorted(Path(results).glob("*.json")):
        if path.name != FIGURES_FILE:
            stored = _read(path, "remove it, or measure it again (engram experiment run NAME)")
            figures.update(stored.get("figures", {}) if isinstance(stored, dict) else {})
    figures = dict(sorted(figures.items()))
    write_json(Path(results) / FIGURES_FILE, figures)
    return figures


def check_figures(results: str | Path = "results", expected: Mapping[str, Figure] | None = None) -> list[Finding]:
    """What in a folder's `figures.json` is below its floor, or missing from it; an empty list when all is well.

    Args:
        expected: the figures that are looked for, with their floors; None for every one that is to be published.

    Raises:
        ExperimentError: `figures.json` is damaged.
    """
    path = Path(results) / FIGURES_FILE
    figures = _read(path, "collect it again (engram experiment figures)") if path.exists() else {}
    findings = []
    for key, figure in sorted((expected_figures() if expected is None else expected).items()):
        measured = figures.get(key, {}).get("mean")
        if measured is None or not figure.holds(measured):
            findings.append(Finding(key, figure.floor, measured))
    return findings


def _read(path: Path, fix: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExperimentError(f"{path} is no whole JSON file: {fix}.") from error
