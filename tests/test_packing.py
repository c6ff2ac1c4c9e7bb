"""An array comes back as the numbers that it was, however it lay in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.packing import pack

KINDS = ["?", "i1", "u1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


@st.composite
def laid_out(draw: st.DrawFn) -> np.ndarray:
    """An array of any kind and shape, in C order, transposed, in Fortran's, strided, or backward."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = draw(arrays.arrays(np.dtype(draw(st.sampled_from(KINDS))), shape))
    how = draw(st.sampled_from(["as it is", "transposed", "fortran", "strided", "backward"]))
    if how == "transposed":
        return array.T
    if how == "fortran":
        return np.asfortranarray(array)
    if array.ndim and how == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array[::-1] if array.ndim and how == "backward" else array


@given(laid_out())
def test_every_array_comes_back(array: np.ndarray) -> None:
    found = load(pack({"a": array}))["a"]
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_a_text_in_the_header_comes_back_and_what_is_no_number_is_refused() -> None:
    assert b"a note" in pack({"a": np.zeros(2)}, {"about": "a note"})
    with pytest.raises(SafetensorError):
        pack({"a": np.array(["text"])})


def test_tensors_come_back_from_any_layout() -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load as load_tensors

    from engram.packing import pack_tensors

    whole = torch.arange(24.0).reshape(2, 3, 2, 2)
    given = {
        "transposed": whole.transpose(0, 1), "strided": whole[..., ::2], "shared": whole, "again": whole,
        "last": whole.to(memory_format=torch.channels_last), "half": whole.bfloat16(),
        "learned": whole.clone().requires_grad_(),
    }
    found = load_tensors(pack_tensors(given))
    assert all(torch.equal(found[name], given[name]) for name in given)
