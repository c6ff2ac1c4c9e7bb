"""What is dreamt of the past: models of the examples that were learned, from which others like them are drawn.
`GENERATORS` lists them; `make` makes one by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engram.extension import Extension, Extensions
from engram.learner import InputError

HOME = "engram.networks.generators."

GENERATORS = Extensions("generator", {
    "vae": Extension(
        path=HOME + "vae:VAE", takes=("arrays",), needs=("train",),
        summary="a variational autoencoder, plain, class-conditional or with a Gaussian mixture over its latents",
        source="Kingma, Welling 2013",
    ),
    "mixture_of_ppca": Extension(
        path=HOME + "mixture_of_ppca:MixtureOfPPCA", takes=("arrays",), needs=("train",), short=("mppca",),
        summary="for each class a few Gaussians, each a subspace and noise; in seconds, without gradient descent",
        source="Tipping, Bishop 1999",
    ),
})
"""Every generator by its name. To add one: a file in this folder, and a row here."""


def make(settings: Mapping[str, Any]) -> Any:
    """The `GenerativeModel` that its name and settings describe.

    Raises:
        InputError: no description of a generator, or a setting that it does not have.

    >>> make({"name": "mppca", "factors": 5}).settings["factors"]
    5
    """
    given = dict(settings)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise InputError('A generator is described by its name and settings, such as {"name": "mppca", "factors": 20}.')
    row = GENERATORS[GENERATORS.name_of(name)]
    try:
        return row.load()(**given)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error
