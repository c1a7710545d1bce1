"""The network of CIFAR-10 is the one that was published."""

import pytest
import torch

from xaibook.cifar.network import ResNet20, resnet20


def test_it_has_the_published_size():
    net = ResNet20()
    assert sum(p.numel() for p in net.parameters()) == 269_722  # "0.27M", He et al., table 6
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 19
    assert net.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_weights_come_back(tmp_path):
    net, file = ResNet20(), tmp_path / "weights.th"
    named = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": named}, file)
    found = resnet20(file)
    assert not found.net.training
    assert found.layer_name == "layer3"
    for name, value in found.net.state_dict().items():
        assert torch.equal(value, net.state_dict()[name])


def test_other_weights_are_refused(tmp_path):
    torch.save({"state_dict": {"module.a": torch.zeros(1)}}, tmp_path / "weights.th")
    with pytest.raises(ValueError, match=r"weights: .* are not those of a ResNet-20"):
        resnet20(tmp_path / "weights.th")
