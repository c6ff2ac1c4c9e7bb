"""Cores for streams: frames -> outputs, step by step, with all that is remembered in a state. `CORES` lists them."""

from __future__ import annotations

from engram.extension import Extension, Extensions

_HERE = "engram.features.cores."

CORES = Extensions("core", {
    "echo-state": Extension(
        path=_HERE + "echo_state:EchoState", short=("esn",), summary="a fixed random reservoir of leaky units",
        source="Jaeger 2001",
    ),
    "next-generation-reservoir": Extension(
        path=_HERE + "next_generation_reservoir:NextGenerationReservoir", short=("ngrc",),
        summary="delayed frames and their products", source="Gauthier et al. 2021",
    ),
    "diagonal-recurrence": Extension(
        path=_HERE + "diagonal_recurrence:DiagonalRecurrence", short=("lru", "s4d"),
        summary="linear modes that fade and turn", source="Orvieto et al. 2023",
    ),
    "gru": Extension(path=_HERE + "gru:GRU", summary="gated recurrent units", source="Cho et al. 2014"),
    "lstm": Extension(
        path=_HERE + "lstm:LSTM", summary="long short-term memory", source="Hochreiter and Schmidhuber 1997",
    ),
    "ct-rnn": Extension(
        path=_HERE + "ct_rnn:CTRNN", summary="leaky units in continuous time", source="Funahashi and Nakamura 1993",
    ),
    "ct-gru": Extension(
        path=_HERE + "ct_gru:CTGRU", summary="gated units that fade at several speeds", source="Mozer et al. 2017",
    ),
    "neural-ode": Extension(
        path=_HERE + "neural_ode:NeuralODE", short=("node",),
        summary="a differential equation driven by frames", source="Chen et al. 2018",
    ),
    "ltc": Extension(
        path=_HERE + "liquid_time_constant:LiquidTimeConstant", short=("liquid-time-constant",),
        summary="units whose input sets how fast they move", source="Hasani et al. 2021",
    ),
    "cfc": Extension(
        path=_HERE + "closed_form_continuous:ClosedFormContinuous", short=("closed-form-continuous",),
        summary="a liquid network without a solver", source="Hasani et al. 2022",
    ),
    "neural-circuit-policy": Extension(
        path=_HERE + "neural_circuit_policy:NeuralCircuitPolicy", short=("ncp",),
        summary="few neurons with liquid synapses, wired in layers", source="Lechner et al. 2020",
    ),
    "lif": Extension(
        path=_HERE + "integrate_and_fire:IntegrateAndFire", summary="leaky neurons that fire",
        source="Bellec et al. 2018",
    ),
    "alif": Extension(
        path=_HERE + "integrate_and_fire:IntegrateAndFire", settings={"beta": 0.2}, short=("lsnn",),
        summary="firing neurons with a threshold that adapts", source="Bellec et al. 2018",
    ),
})
"""Every core by its name. To add one: a file in this folder, and a row here."""
