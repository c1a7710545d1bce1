"""The drawing of the cone: its points are where nothing nearer is."""

import pytest
import torch

from xaibook.drawings.cone import cone, nearest

CHANNELS = torch.tensor([[3.0, 1.0], [1.0, 2.0]]).double()
AHEAD = torch.tensor([1.0, 3.0]).double()


@pytest.mark.parametrize("metric", [[1.0, 1.0], [4.0, 0.5]])
def test_the_nearest_point_is_on_the_edge_and_none_of_the_edge_is_nearer(metric):
    dear = torch.tensor(metric).double()
    found = nearest(CHANNELS, AHEAD, dear)
    assert found[1] / found[0] == pytest.approx(2)
    assert (dear * (AHEAD - found) * CHANNELS[1]).sum() == pytest.approx(0, abs=1e-9)


def test_a_point_of_the_cone_is_its_own_nearest_and_the_drawing_shows_both():
    inside = CHANNELS.sum(0)
    torch.testing.assert_close(nearest(CHANNELS, inside, torch.ones(2).double()), inside)
    figure = cone(
        CHANNELS.float(), torch.tensor([2.0, 2.0]), AHEAD.float(), torch.tensor([4.0, 0.5])
    )
    points = {line.get_label(): line.get_xydata()[0] for line in figure.axes[0].lines}
    by_adam, by_ruler = (points[f"nearest by {name} measure"] for name in ("Adam's", "the ruler's"))
    assert by_ruler[1] / by_ruler[0] == pytest.approx(2)
    assert abs(by_adam[0] - AHEAD[0]) < abs(by_ruler[0] - AHEAD[0])  # position 1 is dear to Adam
