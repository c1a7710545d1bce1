"""The small residual network: its shapes, its size, and what later chapters rely on."""

import copy
import itertools

import pytest
import torch
from torch import nn

from xaibook.flowers.network import ResidualBlock, SmallResNet


@pytest.fixture(scope="module")
def net():
    """A network for nine classes, in evaluation mode."""
    torch.manual_seed(0)
    return SmallResNet(9).eval()


def outputs(net, images):
    """Return the output shape of the stem and of each stage."""
    shapes = {}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: shapes.update({name: tuple(output.shape)})
        )
        for name in ("stem", "stages.0", "stages.1", "stages.2")
    ]
    net(images)
    for hook in hooks:
        hook.remove()
    return shapes


def test_shapes_are_those_of_the_docstring(net):
    assert outputs(net, torch.rand(2, 3, 64, 64)) == {
        "stem": (2, 32, 32, 32),
        "stages.0": (2, 32, 16, 16),
        "stages.1": (2, 64, 8, 8),
        "stages.2": (2, 128, 8, 8),
    }
    assert net(torch.rand(2, 3, 64, 64)).shape == (2, 9)


def test_it_has_310_thousand_parameters(net):
    assert sum(parameter.numel() for parameter in net.parameters()) == 309_609


@pytest.mark.parametrize("size", [(48, 96), (65, 63), (224, 224), (3, 5), (1, 1)])
def test_any_height_and_width_work(net, size):
    height, width = (-(-side // 8) for side in size)
    assert outputs(net, torch.rand(2, 3, *size))["stages.2"] == (2, 128, height, width)
    assert net(torch.rand(2, 3, *size)).isfinite().all()


def test_an_empty_batch_gives_no_logits(net):
    assert net(torch.rand(0, 3, 64, 64)).shape == (0, 9)


def test_other_widths_and_strides_build_other_networks():
    wide = SmallResNet(2, widths=(8, 16, 24, 32), strides=(1, 2, 2, 2))
    assert wide(torch.rand(1, 3, 64, 64)).shape == (1, 2)
    assert wide.stages(wide.stem(torch.rand(1, 3, 64, 64))).shape == (1, 32, 4, 4)


@pytest.mark.parametrize(("widths", "strides"), [((8, 16), (2,)), ((), ())])
def test_stages_that_do_not_match_are_refused(widths, strides):
    with pytest.raises(ValueError, match="one number for each stage"):
        SmallResNet(2, widths, strides)


def test_every_rectifier_is_used_once_and_none_works_in_place(net):
    calls = []
    rectifiers = [module for module in net.modules() if isinstance(module, nn.ReLU)]
    hooks = [module.register_forward_hook(lambda m, *_: calls.append(m)) for module in rectifiers]
    net(torch.rand(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    assert len(rectifiers) == 7
    assert calls == list(dict.fromkeys(calls))
    assert set(calls) == set(rectifiers)
    assert not any(module.inplace for module in rectifiers)


def test_a_block_adds_its_shortcut():
    """With the inner branch silenced, a block is the rectified shortcut."""
    block = ResidualBlock(4, 4, stride=1).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x.relu())
    strided = ResidualBlock(4, 8, stride=2).eval()
    nn.init.zeros_(strided.norm2.weight)
    assert torch.equal(strided(x), strided.shortcut(x).relu())


def test_logits_are_linear_in_the_mean_of_the_last_stage(net):
    """The identity on which CAM rests."""
    images = torch.rand(3, 3, 64, 64)
    features = net.stages(net.stem(images))
    expected = features.mean((2, 3)) @ net.fc.weight.T + net.fc.bias
    assert torch.allclose(net(images), expected, atol=1e-5)


def test_a_batch_equals_its_images_and_memory_order_changes_nothing(net):
    images = torch.rand(4, 3, 64, 64)
    together = net(images)
    assert torch.allclose(together, torch.cat([net(image[None]) for image in images]), atol=1e-5)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    assert torch.allclose(
        together, last(images.contiguous(memory_format=torch.channels_last)), atol=1e-5
    )


def test_a_seed_decides_the_initial_weights():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(SmallResNet(3).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    differing = [
        any(not torch.equal(one[name], other[name]) for name in one)
        for one, other in itertools.combinations(states, 2)
    ]
    assert differing == [False, True, True]
