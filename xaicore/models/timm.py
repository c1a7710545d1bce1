"""Any classification network of timm by name, where timm is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from xaicore.classifier import Classifier, hint, to_pixels
from xaicore.weights import classes_in, fill, read_weights

if TYPE_CHECKING:
    from torchvision.transforms import v2


class Features(nn.Module):
    """A timm network with a name, ``features``, for the map that its head receives.

    timm gives every network ``forward_features`` and ``forward_head``; between the two stands the
    last feature map, whatever the architecture calls the layer that makes it.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.features = nn.Identity()
        self.train(net.training)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, C)``."""
        return self.net.forward_head(self.features(self.net.forward_features(images)))


def from_timm(name: str, weights: str | Path | None = "DEFAULT") -> Classifier:
    """Build a timm classifier by name, ready to explain (evaluation mode).

    A network that reads a class token (ViT, DeiT) is looked at where its last block begins, any
    other at the map that its head receives.

    Args:
        name: a timm classification network, for example ``"deit_base_patch16_224"``.
        weights: ``"DEFAULT"`` downloads timm's weights, ``None`` leaves the network random,
            anything else is the path of a state dict saved by ``torch.save``; one of another
            number of classes makes a network of so many.

    Raises:
        ImportError: timm is not installed.
        ValueError: the name is unknown, or the file holds no weights of this network.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError("from_timm needs the package timm: pip install timm") from error
    if not timm.is_model(name):
        raise ValueError(f"timm has no network called '{name}'{hint(name, timm.list_models())}")
    net = timm.create_model(name, pretrained=weights == "DEFAULT")
    if weights not in ("DEFAULT", None):
        path = Path(str(weights))
        state = read_weights(net, path)
        count = classes_in(state, net)
        if count not in (None, net.num_classes):
            net = timm.create_model(name, num_classes=count)
        fill(net, state, path)
    settings = timm.data.resolve_model_data_config(net)
    layer = class_token_layer(net)
    return Classifier(
        (net if layer else Features(net)).eval(),
        mean=settings["mean"],
        std=settings["std"],
        layer=layer or "features",
        transform=_pixels(settings),
    )


def class_token_layer(net: Any) -> str | None:
    """Return the last layer whose patches reach the logits of a network with a class token."""
    blocks = getattr(net, "blocks", None)
    if getattr(net, "global_pool", "") == "token" and isinstance(blocks, nn.Sequential):
        return f"blocks.{len(blocks) - 1}.norm1"
    return None


def _pixels(settings: dict[str, Any]) -> v2.Compose:
    """The evaluation transform that timm describes, without its normalisation."""
    from torchvision.transforms import InterpolationMode, v2

    side = settings["input_size"][-1]
    resize = v2.Resize(
        round(side / settings["crop_pct"]),
        interpolation=InterpolationMode(settings["interpolation"]),
    )
    return to_pixels(resize, v2.CenterCrop(side))
