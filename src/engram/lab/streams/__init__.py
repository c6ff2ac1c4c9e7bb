"""How data sets arrive: class-, task-, domain- and data-incremental, one by one, blurry."""

from collections.abc import Callable

from engram.lab.data_sets import DATA_SETS
from engram.lab.data_sets import load as data_set
from engram.lab.data_sets.data_set import DataSet, Rows, channels_first, flattened, from_arrays
from engram.lab.data_sets.labelled_folder import from_folder
from engram.lab.streams.class_incremental import blurry, class_incremental, domain_incremental, task_incremental
from engram.lab.streams.data_incremental import data_incremental, one_by_one
from engram.lab.streams.domains import domains, permuted, rotated
from engram.lab.streams.stream import Examples, Experience, Stream

ARRIVALS: dict[str, Callable[..., Stream]] = {
    "class": class_incremental,
    "task": task_incremental,
    "domain": domain_incremental,
    "permuted": permuted,
    "rotated": rotated,
    "data": data_incremental,
    "one-by-one": one_by_one,
    "blurry": blurry,
}
"""How a data set can arrive, by name: each is called with it, `seed` and what else it takes."""

__all__ = [
    "ARRIVALS",
    "DATA_SETS",
    "DataSet",
    "Examples",
    "Experience",
    "Rows",
    "Stream",
    "blurry",
    "channels_first",
    "class_incremental",
    "data_incremental",
    "data_set",
    "domain_incremental",
    "domains",
    "flattened",
    "from_arrays",
    "from_folder",
    "one_by_one",
    "permuted",
    "rotated",
    "task_incremental",
]
