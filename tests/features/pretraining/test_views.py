# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.features.pretraining.onnx_network import to_onnx
from engram.lab.recipes.views import SIX_VIEWS, View, Views


class Flat(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)


def seen(image, view):
    return Views(Flat(), image.shape[2], [view])(image).reshape(image.shape)


def test_an_image_looked_at_straight_is_the_image():
    image = torch.rand(2, 1, 8, 8)
    assert torch.allclose(seen(image, View()), image, atol=1e-5)


def test_the_views_are_what_they_are_called():
    spot = torch.zeros(1, 1, 9, 9)
    spot[0, 0, 4, 2] = 1
    assert seen(spot, View(right=2 / 9))[0, 0, 4].argmax() == 1
    assert seen(spot, View(down=2 / 9))[0, 0, :, 2].argmax() == 3
    assert seen(spot, View(scale=2))[0, 0, 4].argmax() == 3
    assert seen(spot, View(degrees=90))[0, 0, :, 4].max() > 0.99


def test_the_output_is_the_mean_over_the_views():
    images = torch.rand(5, 1, 8, 8)
    mean = torch.stack([seen(images, view).flatten(1) for view in SIX_VIEWS]).mean(0)
    assert torch.allclose(Views(Flat(), 8)(images), mean, atol=1e-6)


def test_views_travel_inside_the_onnx_file_for_any_number_of_images():
    onnxruntime = pytest.importorskip("onnxruntime")
    views = Views(torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.Flatten()), 8)
    session = onnxruntime.InferenceSession(to_onnx(views, (1, 8, 8)), providers=["CPUExecutionProvider"])
    for count in (1, 4):
        images = torch.rand(count, 1, 8, 8)
        (features,) = session.run(["features"], {"images": images.numpy()})
        assert np.abs(features - views(images).detach().numpy()).max() < 1e-4
