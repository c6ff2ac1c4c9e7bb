"""Published weights become backbones: recognised by their tensors, safely read, refused with a reason."""
# ruff: noqa: E402

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from safetensors.torch import save_file

from engram.features.pretraining.families import FAMILIES, make_network
from engram.features.pretraining.families.network import Embedding
from engram.features.pretraining.photo_views import shown
from engram.features.pretraining.published_weights import import_weights, read_tensors, recognised
from engram.learner import DamagedError, InputError

NARROW = {
    "lenet5": {"channels": 1}, "simplenet": {"multiplier": 0.125}, "mobilenet_v2": {"multiplier": 0.35},
    "resnet18": {"multiplier": 0.25}, "resnet34": {"multiplier": 0.125}, "resnet50": {"multiplier": 0.125},
}


def settled(name, classes=5, **options):
    """A network whose normalisations have seen something."""
    options = NARROW.get(name, {}) | options
    network = make_network(name, classes, seed=0, **options)
    network.train()
    for _ in range(2):
        network(torch.rand(4, options.get("channels", 3), 32, 32))
    return network.eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_recognised_by_its_tensors_alone(name):
    network = settled(name)
    found, again, channels = recognised(network.state_dict())
    assert found == name
    assert channels == NARROW.get(name, {}).get("channels", 3)
    images = torch.rand(2, channels, 32, 32)
    assert torch.equal(again(images), network(images))


@pytest.mark.parametrize("classes", [0, 7])
def test_the_number_of_classes_is_taken_from_the_tensors(classes):
    network = make_network("resnet18", classes, multiplier=0.25)
    _, again, _ = recognised(network.state_dict())
    assert torch.equal(again.eval()(torch.ones(1, 3, 32, 32)), network.eval()(torch.ones(1, 3, 32, 32)))


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_the_backbone_gives_the_networks_own_features(ending, tmp_path):
    network, path = settled("resnet18"), tmp_path / f"mine{ending}"
    if ending == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    backbone = import_weights(path, preprocessing=shown(40))
    assert (backbone.name, backbone.width) == ("mine", network.width)
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = Embedding(network)(torch.from_numpy(shown(40)([picture]))).numpy()
    assert np.allclose(backbone.features([picture]), expected, atol=1e-4)


@pytest.mark.parametrize(
    "wrapped",
    [lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": {f"module.{k}": v for k, v in s.items()}}],
)
def test_the_usual_wrappers_and_prefixes_are_taken_off(wrapped, tmp_path):
    network, path = settled("lenet5"), tmp_path / "checkpoint.pth"
    torch.save(wrapped(network.state_dict()), path)
    assert recognised(read_tensors(path))[0] == "lenet5"


def test_networks_of_a_known_size_are_shown_what_they_usually_are(tmp_path):
    save_file(settled("lenet5").state_dict(), tmp_path / "lenet.safetensors")
    prepared = import_weights(tmp_path / "lenet.safetensors").preprocessing
    assert (prepared.size, prepared.channels) == ((32, 32), "grey")


def test_tensors_of_another_network_are_refused_with_what_differs():
    state = settled("lenet5").state_dict()
    state["fc2.weight"] = state["fc2.weight"][:, :-1]
    with pytest.raises(InputError, match=r"Nearest is lenet5, which differs in 1: fc2\.weight"):
        recognised(state)
    with pytest.raises(InputError, match="Nearest is resnet18"):
        recognised(settled("resnet34").state_dict(), "resnet18")
    with pytest.raises(InputError, match="Unknown family 'vgg'"):
        recognised(state, "vgg")


class Trap:
    """Would write a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"weight": torch.ones(2), "trap": Trap(sprung)}, tmp_path / "trap.pth")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("trap.pth", "bare.pt"):
        with pytest.raises(DamagedError):
            read_tensors(tmp_path / name)
    with pytest.raises(DamagedError, match="could run code"):
        read_tensors(tmp_path / "trap.pth")
    assert not sprung.exists()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_damaged(ending, share, tmp_path):
    path = tmp_path / f"cut{ending}"
    state = settled("lenet5").state_dict()
    save_file(state, path) if ending == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedError):
        read_tensors(path)


def test_numbers_that_are_not_finite_are_damage(tmp_path):
    state = settled("lenet5").state_dict()
    state["fc1.bias"][3] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(DamagedError, match=r"fc1\.bias"):
        read_tensors(tmp_path / "nan.pth")


@pytest.mark.parametrize("content", [torch.ones(3), {}, {"lr": 0.1}, [torch.ones(1)]])
def test_what_is_no_dictionary_of_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(DamagedError, match="state_dict"):
        read_tensors(tmp_path / "other.pth")


def test_no_file_and_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match="No file"):
        read_tensors(tmp_path / "none.pth")
    (tmp_path / "weights.h5").touch()
    with pytest.raises(InputError, match=r"\.pth, \.pt, \.safetensors"):
        read_tensors(tmp_path / "weights.h5")
