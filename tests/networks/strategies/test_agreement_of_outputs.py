"""The answers of another network as a loss, against the formula written out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from engram.networks.strategies.distillation import agreement  # noqa: E402


def test_the_loss_and_its_gradient_are_those_of_the_divergence_from_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randn(5, 4, generator=generator)
    logits = torch.randn(5, 4, generator=generator, requires_grad=True)
    soft, given = (wanted / 3).softmax(1), (logits / 3).log_softmax(1)
    slow = 9 * sum(-p * g for row_p, row_g in zip(soft, given, strict=True)
                   for p, g in zip(row_p, row_g, strict=True)) / 5
    assert agreement(logits, wanted, 3.0).item() == pytest.approx(slow.item(), rel=1e-5)
    divergence = 9 * torch.nn.functional.kl_div(given, soft, reduction="batchmean")
    one, two = (torch.autograd.grad(loss, logits, retain_graph=True)[0]
                for loss in (agreement(logits, wanted, 3.0), divergence))
    torch.testing.assert_close(one, two)
