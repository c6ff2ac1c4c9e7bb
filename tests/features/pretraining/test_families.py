"""Network families: published parameter counts, the zoo's names, shapes."""
# ruff: noqa: E402

import pytest

torch = pytest.importorskip("torch")

from engram.features.pretraining.families import FAMILIES, make_network
from engram.features.pretraining.families.network import Embedding
from engram.learner import InputError

# torchvision's documentation (0.20) for the zoo's networks; LeNet-5 by hand: 6·25+6, 16·150+16, 400·120+120,
# 120·84+84, 84·10+10.
PUBLISHED = {
    "lenet5": (61_706, {"classes": 10}),
    "squeezenet1_1": (1_235_496, {}),
    "mobilenet_v2": (3_504_872, {}),
    "resnet18": (11_689_512, {}),
    "resnet34": (21_797_672, {}),
    "resnet50": (25_557_032, {}),
}
# A few names from each end of torchvision's state dictionaries, with the shapes that they have there.
ZOO = {
    "squeezenet1_1": {
        "features.0.weight": (64, 3, 3, 3), "features.3.squeeze.weight": (16, 64, 1, 1),
        "features.6.expand3x3.bias": (128,), "features.12.expand1x1.weight": (256, 64, 1, 1),
        "classifier.1.weight": (1000, 512, 1, 1), "classifier.1.bias": (1000,),
    },
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3), "features.0.1.running_var": (32,),
        "features.1.conv.0.0.weight": (32, 1, 3, 3), "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.2.conv.0.0.weight": (96, 16, 1, 1), "features.2.conv.3.num_batches_tracked": (),
        "features.17.conv.2.weight": (320, 960, 1, 1), "features.18.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
    },
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7), "bn1.running_mean": (64,), "layer1.0.conv1.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1), "layer2.0.downsample.1.bias": (128,),
        "layer4.1.bn2.weight": (512,), "fc.weight": (1000, 512), "fc.bias": (1000,),
    },
    "resnet50": {
        "layer1.0.conv3.weight": (256, 64, 1, 1), "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer3.5.bn3.running_var": (1024,), "layer4.2.conv2.weight": (512, 512, 3, 3), "fc.weight": (1000, 2048),
    },
}
TENSORS = {"squeezenet1_1": 52, "mobilenet_v2": 314, "resnet18": 122, "resnet34": 218, "resnet50": 320}
SMALL = {"lenet5": {"channels": 3}, "simplenet": {"multiplier": 0.125}, "mobilenet_v2": {"multiplier": 0.35}}


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_published_number_of_parameters(name):
    count, options = PUBLISHED[name]
    assert sum(p.numel() for p in make_network(name, **options).parameters()) == count


def test_simplenet_has_the_papers_5_48_million_weights():
    kernels = [p for p in make_network("simplenet", 10).parameters() if p.ndim > 1]
    assert round(sum(p.numel() for p in kernels) / 1e6, 2) == 5.48
    assert sum(p.ndim == 4 for p in kernels) == 13


@pytest.mark.parametrize("name", ZOO)
def test_its_tensors_are_named_and_shaped_as_in_the_zoo(name):
    state = make_network(name).state_dict()
    assert {key: tuple(state[key].shape) for key in ZOO[name]} == ZOO[name]


@pytest.mark.parametrize("name", TENSORS)
def test_it_has_as_many_tensors_as_the_zoos(name):
    assert len(make_network(name).state_dict()) == TENSORS[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_calling_gives_logits_and_embedding_gives_the_features_below_them(name):
    side = 32
    network = make_network(name, 7, seed=0, **SMALL.get(name, {})).eval()
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert network(images).shape == (2, 7)
        features = Embedding(network)(images)
        assert features.shape == (2, network.width)
        assert torch.isfinite(features).all()
        assert not torch.equal(features[0], features[1])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_named_layers_are_there_to_cut_at(name):
    modules = dict(make_network(name, 2, **SMALL.get(name, {})).named_modules())
    assert set(FAMILIES[name].layers) <= set(modules)


def test_no_classes_leave_the_classifier_out():
    whole = sum(p.numel() for p in make_network("mobilenet_v2").parameters())
    without = sum(p.numel() for p in make_network("mobilenet_v2", 0).parameters())
    assert whole - without == 1281 * 1000


def test_a_narrow_mobilenet_has_the_published_size():
    # Sandler et al. 2018's own checkpoints: 1.66M parameters for width 0.35, 1.95M for 0.5 (rounded there).
    for multiplier, millions in ((0.35, 1.68), (0.5, 1.97)):
        network = make_network("mobilenet_v2", multiplier=multiplier)
        assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_any_resolution_will_do():
    network = make_network("mobilenet_v2", 5, multiplier=0.35).eval()
    assert network(torch.rand(1, 3, 96, 160)).shape == (1, 5)


def test_the_same_seed_gives_the_same_weights_and_leaves_pytorchs_own_state_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = (make_network("squeezenet1_1", 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.features[0].weight, second.features[0].weight)
    assert not torch.equal(first.features[0].weight, other.features[0].weight)


def test_what_cannot_be_made_is_refused_with_what_can():
    with pytest.raises(InputError, match=r"Unknown family 'vgg'. Choose from: lenet5"):
        make_network("vgg")
    with pytest.raises(InputError, match="cannot be made with"):
        make_network("squeezenet1_1", depth=3)
    with pytest.raises(InputError, match="16×16"):
        make_network("lenet5", side=12)
