r"""Gradients with respect to single pixels.

With :math:`y_c` the logit of the class, :math:`x` the pixels in ``[0, 1]`` (the classifier
normalises them itself) and :math:`\partial y_c / \partial x` its gradient,
``(B, channels, H, W)``, one rule turns what a method gives each colour, or other channel, into a
map ``(B, 1, H, W)``:

- a gradient says how *sensitive* the logit is: ``magnitude``, the largest absolute value among the
  colours (Simonyan et al., ICLR Workshops 2014);
- an attribution, a gradient times a change of the pixel, says how much the pixel *contributes*:
  ``evidence``, the sum over the colours where it is positive, as in class activation maps.

No gradient is computed for any parameter. Methods that average over many copies of an image take
the images of a batch in turn, ``batch_size`` copies of one image to a forward. Copies fill a
forward as a batch of images would, so turn by turn is no slower, and what an image gives is summed
in an order that does not depend on the images beside it. Draws depend on the seed and the size of
the image alone: every image of a batch sees the same ones, and the global random state is neither
read nor moved; captum's ``NoiseTunnel`` and ``GradientShap`` draw anew for each image from it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from xaicore.attribution.capture import frozen, full_precision, gradients_on, own
from xaicore.attribution.cuts import differentiating
from xaicore.attribution.explainer import Explainer, resolve_targets
from xaicore.attribution.rules import GuidedRule
from xaicore.classifier import Classifier
from xaicore.masking import removed


def magnitude(attribution: Tensor) -> Tensor:
    """Return the largest absolute value among the colours, ``(B, 1, H, W)``."""
    return attribution.abs().amax(dim=1, keepdim=True)


def evidence(attribution: Tensor) -> Tensor:
    """Return the sum over the colours where it is positive, else 0, ``(B, 1, H, W)``."""
    return attribution.sum(dim=1, keepdim=True).relu()


class PixelGradient(Explainer):
    """A method whose raw map, at the size of the image, comes from gradients of its pixels."""

    family = "gradient"
    pool = staticmethod(evidence)

    def attribution(self, images: Tensor, targets: Tensor | None) -> Tensor:
        """Return what each channel of each pixel is given, ``(B, channels, H, W)``, detached.

        Args:
            images: pixels ``(B, channels, H, W)`` in ``[0, 1]``.
            targets: the classes to explain ``(B,)``, or ``None`` for the predicted ones.
        """
        if not len(images):
            return images.detach()
        network, called = self.classifier, type(self.classifier.net).__name__
        with gradients_on(), differentiating(network, own(images), called):
            found = self._attribute(own(images), None if targets is None else own(targets))
        return full_precision(found.detach())

    def _raw(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return self.pool(self.attribution(images, targets))

    @abstractmethod
    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        """Compute the attribution; gradients are recorded, the batch is not empty."""


def gradient_of_logit(classifier: Classifier, images: Tensor, targets: Tensor | None) -> Tensor:
    r"""Return :math:`\partial y_c / \partial x` of images that are a leaf, ``(B, channels, H, W)``.

    Cost: one forward, one backward; no gradient for any parameter.
    """
    pixels = images.requires_grad_()
    logits = frozen(classifier)(pixels)
    chosen = logits.gather(1, resolve_targets(targets, logits)[:, None])
    return torch.autograd.grad(chosen.sum(), pixels)[0]


class Saliency(PixelGradient):
    r"""The plain gradient.

    .. math:: S^c = \max_{\text{colour}} \Big| \frac{\partial y_c}{\partial x} \Big|

    Cost: one forward, one backward. Source: Simonyan et al., ICLR Workshops 2014.

    Example:
        >>> xc.Saliency(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "saliency"
    label = "Gradient"
    cost = "1 F + 1 B"
    pool = staticmethod(magnitude)

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return gradient_of_logit(self.classifier, images, targets)


class InputXGradient(PixelGradient):
    r"""The gradient times the pixel: what the pixel contributes to a linear classifier.

    .. math:: S^c = \mathrm{relu}\Big(\sum_{\text{colour}} x \odot
        \frac{\partial y_c}{\partial x}\Big)

    Cost: one forward, one backward. Source: Shrikumar et al., 2016.

    Example:
        >>> xc.InputXGradient(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "input-x-gradient"
    label = "Input × gradient"
    cost = "1 F + 1 B"

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        return images * gradient_of_logit(self.classifier, images, targets)


class GuidedBackprop(PixelGradient):
    r"""The gradient that passes back through a ReLU only where it is positive itself.

    .. math:: S^c = \max_{\text{colour}} \Big| \frac{\partial_G y_c}{\partial x} \Big|, \qquad
        \delta_u = \mathbb 1[u > 0]\, [\delta_v]_+ \ \text{at every}\ v = \mathrm{relu}(u)

    The rule acts on every ReLU and ReLU6, be it a module, a function or in place (``rules``).
    Cost: one forward, one backward. Source: Springenberg et al., ICLR Workshops 2015.

    Raises:
        ValueError: called: no such activation runs, or one for which there is no guided rule.

    Example:
        >>> xc.GuidedBackprop(model)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "guided-backprop"
    label = "Guided backprop"
    cost = "1 F + 1 B"
    pool = staticmethod(magnitude)

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        with GuidedRule() as rule:
            gradient = gradient_of_logit(self.classifier, images, targets)
        rule.check_met(self.classifier.net)
        return gradient


class AveragedGradient(PixelGradient):
    """A method that averages gradients over many copies of an image."""

    def __init__(self, classifier: Classifier, batch_size: int, **counts: float) -> None:
        super().__init__(classifier)
        for name, value in {"batch_size": batch_size, **counts}.items():
            least = 0 if name == "noise" else 1
            if value < least:
                raise ValueError(f"{type(self).__name__} needs {name} >= {least}, got {value}")
        self.batch_size = batch_size

    def _classes(self, images: Tensor, targets: Tensor | None) -> list[int]:
        """Return the targets, checked, or the predicted classes; one forward."""
        with torch.no_grad():
            return resolve_targets(targets, self.classifier(images)).tolist()

    def _gradient(self) -> Callable[[Tensor, int], Tensor]:
        """Return the gradient of a class's logit, a function of pixels ``(m, channels, H, W)``."""
        network = frozen(self.classifier)

        def gradient(copies: Tensor, target: int) -> Tensor:
            copies = copies.contiguous(memory_format=torch.channels_last).requires_grad_()
            logit = network(copies)[:, target].sum()
            return full_precision(torch.autograd.grad(logit, copies)[0])

        return gradient


class IntegratedGradients(AveragedGradient):
    r"""The gradient averaged along the straight line from a baseline, times the way.

    .. math:: S^c = \mathrm{relu}\Big(\sum_{\text{colour}} (x - b) \odot \int_0^1
        \frac{\partial y_c}{\partial x}\big(b + \alpha (x - b)\big)\, d\alpha\Big)

    Before pooling the attributions sum to :math:`y_c(x) - y_c(b)`. The integral is evaluated by the
    Gauss-Legendre rule (captum's default; the paper's sum of equal steps needs more of them).
    Cost: one forward for the class, then one forward and one backward for each of the steps.
    Source: Sundararajan et al., ICML 2017.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        steps: the number of points on the line.
        baseline: where the line begins: ``"black"``, ``"mean"``, ``"blur"`` or pixels.
        batch_size: the number of copies of an image in one forward, at most.

    Raises:
        ValueError: a number is not positive.

    Example:
        >>> xc.IntegratedGradients(model, steps=8)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "integrated-gradients"
    label = "Integrated gradients"
    cost = "1 F + n (F + B)"

    def __init__(
        self,
        classifier: Classifier,
        steps: int = 50,
        baseline: str | Tensor = "black",
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier, batch_size, steps=steps)
        self.steps = steps
        self.baseline = baseline

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        return 1 + self.steps

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        from captum import attr

        start = removed(images, self.baseline, self.classifier.mean).expand_as(images)
        integrated = attr.IntegratedGradients(frozen(self.classifier))
        found = [
            integrated.attribute(
                images[i : i + 1],
                start[i : i + 1],
                target=target,
                n_steps=self.steps,
                internal_batch_size=self.batch_size,
            )
            for i, target in enumerate(self._classes(images, targets))
        ]
        return torch.cat(found)


class SmoothGrad(AveragedGradient):
    r"""The gradient averaged over noisy copies of the image.

    .. math:: S^c = \max_{\text{colour}} \Big| \frac1n \sum_{i=1}^n
        \frac{\partial y_c}{\partial x}(x + \sigma \varepsilon_i) \Big|, \qquad
        \varepsilon_i \sim \mathcal N(0, 1), \quad
        \sigma = \text{noise} \cdot (\max x - \min x)

    The signed gradients are averaged, as in the paper; captum's ``NoiseTunnel`` around its
    ``Saliency`` averages absolute values unless told otherwise. Noisy pixels may leave ``[0, 1]``.
    Cost: one forward for the class, then one forward and one backward for each of the samples.
    Source: Smilkov et al., 2017.

    Args:
        classifier: the classifier to explain, in evaluation mode.
        samples: the number n of noisy copies; the paper finds little change beyond 50.
        noise: standard deviation of the noise, as a share of the range of the image's pixels; the
            paper recommends 0.1 to 0.2.
        seed: of the noise.
        batch_size: the number of copies of an image in one forward, at most.

    Raises:
        ValueError: a number is not positive, or ``noise`` is negative.

    Example:
        >>> xc.SmoothGrad(model, samples=4)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "smoothgrad"
    label = "SmoothGrad"
    cost = "1 F + n (F + B)"
    pool = staticmethod(magnitude)

    def __init__(
        self,
        classifier: Classifier,
        samples: int = 50,
        noise: float = 0.15,
        seed: int = 0,
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier, batch_size, samples=samples, noise=noise)
        self.samples = samples
        self.noise = noise
        self.seed = seed

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        return 1 + self.samples

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        classes, gradient = self._classes(images, targets), self._gradient()
        sigma = self.noise * span(images)
        generator = torch.Generator().manual_seed(self.seed)
        total = torch.zeros_like(full_precision(images))
        for part in torch.arange(self.samples).split(self.batch_size):
            fields = normal_fields(len(part), images, generator)
            for i, target in enumerate(classes):
                total[i] += gradient(images[i] + sigma[i] * fields, target).sum(0)
        return total / self.samples


class GradientShap(AveragedGradient):
    r"""Expected gradients: the way from a random background to a noisy copy, times the gradient.

    .. math:: S^c = \mathrm{relu}\Big(\sum_{\text{colour}} \frac1n \sum_{i=1}^n (x_i - b_i) \odot
        \frac{\partial y_c}{\partial x}\big(b_i + \alpha_i (x_i - b_i)\big)\Big), \qquad
        x_i = x + \sigma \varepsilon_i, \quad \alpha_i \sim U(0, 1)

    It estimates Shapley values. With one background and no noise its expectation is that of
    integrated gradients. ``noise`` is a share of the range of the image's pixels, as in SmoothGrad;
    captum's argument is absolute and 0 unless told otherwise.
    Cost: one forward for the class, then one forward and one backward for each of the samples.
    Source: Lundberg and Lee, NeurIPS 2017; Erion et al., Nature Machine Intelligence 3 (2021).

    Args:
        classifier: the classifier to explain, in evaluation mode.
        samples: the number n of draws.
        noise: standard deviation of the noise, as a share of the range of the image's pixels.
        baseline: the background: ``"black"``, ``"mean"``, ``"blur"``, or the pixels
            ``(N, channels, H, W)`` of N pictures, of which every draw takes one.
        seed: of the draws.
        batch_size: the number of copies of an image in one forward, at most.

    Raises:
        ValueError: a number is not positive, or ``noise`` is negative.

    Example:
        >>> xc.GradientShap(model, samples=4)(images, targets).shape
        torch.Size([2, 1, 16, 16])
    """

    name = "gradient-shap"
    label = "GradientSHAP"
    cost = "1 F + n (F + B)"

    def __init__(
        self,
        classifier: Classifier,
        samples: int = 20,
        noise: float = 0.15,
        baseline: str | Tensor = "black",
        seed: int = 0,
        batch_size: int = 16,
    ) -> None:
        super().__init__(classifier, batch_size, samples=samples, noise=noise)
        self.samples = samples
        self.noise = noise
        self.baseline = baseline
        self.seed = seed

    def forwards(self, size: Sequence[int], channels: int) -> int:
        """Return how many images pass the network for a map."""
        return 1 + self.samples

    def _attribute(self, images: Tensor, targets: Tensor | None) -> Tensor:
        classes, gradient = self._classes(images, targets), self._gradient()
        sigma = self.noise * span(images)
        backgrounds = self._backgrounds(images)
        generator = torch.Generator().manual_seed(self.seed)
        choices = torch.randint(backgrounds.shape[1], (self.samples,), generator=generator)
        alpha = torch.rand(self.samples, 1, 1, 1, generator=generator).to(images)
        total = torch.zeros_like(full_precision(images))
        for part in torch.arange(self.samples, device=images.device).split(self.batch_size):
            fields = normal_fields(len(part), images, generator)
            for i, target in enumerate(classes):
                start = backgrounds[i, choices.to(part.device)[part]]
                way = images[i] + sigma[i] * fields - start
                total[i] += (way * gradient(start + alpha[part] * way, target)).sum(0)
        return total / self.samples

    def _backgrounds(self, images: Tensor) -> Tensor:
        """Return the pictures to draw from for each image, ``(B, N, channels, H, W)``."""
        if not isinstance(self.baseline, Tensor):
            return removed(images, self.baseline, self.classifier.mean).expand_as(images)[:, None]
        if self.baseline.shape[1:] != images.shape[1:] or not len(self.baseline):
            wanted = ", ".join(map(str, images.shape[1:]))
            raise ValueError(
                f"baseline: backgrounds must have shape (N, {wanted}) to fit the images, "
                f"not {tuple(self.baseline.shape)}"
            )
        return own(self.baseline).to(images).expand(len(images), -1, -1, -1, -1)


def span(images: Tensor) -> Tensor:
    """Return the range of each image's pixels, ``(B, 1, 1, 1)``."""
    return images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)


def normal_fields(count: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal noise ``(count, channels, H, W)`` of the images' size.

    Fields are drawn one after another, so that they do not depend on how they are grouped.
    """
    fields = [torch.randn(images.shape[1:], generator=generator) for _ in range(count)]
    return torch.stack(fields).to(images)
