"""What the playground carries to a browser, and what its script computes there."""

import base64

import numpy as np
import pytest
import torch
from torch import nn

import xaicore as xc
from tests.book.alone import data_in, image
from xaibook.flowers import Flowers, SmallResNet, flower_classifier
from xaibook.playground.kernel import module
from xaibook.playground.network import architecture, packed
from xaibook.playground.pictures import DOUBT, SURE, WANTED
from xaicore.attribution.cam import combine

HELPERS = """
  window.network = (engine) => new XC.Network(XC.data.networks.species,
    engine === "script" ? XC.scriptEngine() : XC.fastEngine(XC.bytes(XC.data.kernel)));
  window.pixelsOf = (place) => XC.planes(XC.bytes(XC.data.pictures[place].pixels));
  null;
"""
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def data(playground):
    """Return what the page starts with."""
    return data_in(playground.parent / "playground" / "data.js")


@pytest.fixture(scope="module")
def page(playground, browser):
    """Return the playground's page, opened from disk."""
    page = browser.new_page()
    page.goto(playground.as_uri())
    page.wait_for_selector(".xc-play[data-ready]")
    page.evaluate(HELPERS)
    yield page
    page.close()


@pytest.fixture(scope="module")
def classifier():
    return flower_classifier("species").double()


# What is carried


def sections(code: bytes) -> dict[int, bytes]:
    """Return the sections of a module of WebAssembly that has none of 16 kB."""
    found, place = {}, 8
    while place < len(code):
        kind, length, place = code[place], code[place + 1], place + 2
        if length >= 128:
            length, place = length - 128 + 128 * code[place], place + 1
        found[kind], place = code[place : place + length], place + length
    assert place == len(code)
    return found


def test_the_kernel_is_a_module_that_takes_a_memory_and_gives_a_product():
    code = module()
    assert code[:8] == b"\0asm\1\0\0\0"
    found = sections(code)
    assert list(found) == [1, 2, 3, 7, 10]
    assert found[2] == bytes([1, 1]) + b"e" + bytes([1]) + b"m" + bytes([2, 0, 1])
    assert found[7] == bytes([1, 8]) + b"multiply" + bytes([0, 0])
    assert len(code) < 1024


def test_the_weights_are_those_of_the_network(data, playground):
    for question in ("species", "petal", "stem"):
        script = playground.parent / "playground" / f"{question}.js"
        stored = data["networks"].get(question) or data_in(script)
        halves = np.frombuffer(base64.b64decode(stored["halves"]), "<f2").astype(np.float32)
        classifier = flower_classifier(question)
        for name, tensor in classifier.net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            start, shape = stored["weights"][name]
            assert shape == list(tensor.shape)
            assert np.array_equal(halves[start : start + tensor.numel()], tensor.flatten().numpy())
        assert stored["strides"] == [2, 2, 2, 1]
        assert stored["classes"] == list(classifier.classes)
        assert len(stored["classes"]) == data["counts"][question]
        assert np.float32(stored["mean"]).tolist() == classifier.mean.flatten().tolist()


def test_a_network_that_the_script_does_not_compute_is_refused():
    with pytest.raises(ValueError, match="a SmallResNet, not a Linear"):
        architecture(nn.Linear(1, 1))
    with pytest.raises(ValueError, match="every shortcut"):
        architecture(SmallResNet(9, (32, 32, 128), (2, 1, 1)))
    mixed = SmallResNet(9)
    mixed.stem[1].eps = 1e-3
    with pytest.raises(ValueError, match="one epsilon"):
        architecture(mixed)
    with pytest.raises(ValueError, match=r"fc\.bias is stored as torch\.float32"):
        packed({"fc.bias": torch.zeros(9)})


def test_the_pictures_are_chosen_by_the_rule(data, classifier):
    pictures = [picture for picture in data["pictures"] if "species" in picture]
    assert len(pictures) == sum(WANTED.values())
    seeds = [picture["seed"] for picture in pictures]
    flowers = Flowers("species", "test", max(seeds) - 900_000 + 1)
    p = classifier(flowers.images.double()).softmax(1)
    right, p = p.argmax(1) == flowers.targets, p.gather(1, flowers.targets[:, None])[:, 0]
    doubted = ((p > DOUBT[0]) & (p < DOUBT[1])).nonzero()[:, 0] + 900_000
    assert seeds[:9] == doubted[:9].tolist()
    assert all((p[seed - 900_000] > SURE) for seed in seeds[10:])
    assert not right[seeds[9] - 900_000]
    for picture in pictures:
        shown = np.frombuffer(base64.b64decode(picture["pixels"]), np.uint8).reshape(64, 64, 3)
        place = picture["seed"] - 900_000
        assert np.array_equal(shown / np.float32(255), flowers.images[place].permute(1, 2, 0))
        assert picture["species"] == flowers.targets[place]


def test_twins_have_two_colours(data):
    twins = [picture for picture in data["pictures"] if "petal" in picture]
    assert len(twins) == 4
    for twin in twins:
        assert twin["petal"] != twin["stem"]
        for question in ("petal", "stem"):
            named = flower_classifier(question)(image(question, twin["seed"]).float()).argmax()
            assert named == twin[question]


def test_the_first_load_is_light_and_what_comes_later_too(playground):
    sizes = {p.name: p.stat().st_size for p in (playground.parent / "playground").iterdir()}
    later = sizes.pop("petal.js"), sizes.pop("stem.js")
    assert sum(sizes.values()) <= 1.5e6
    assert max(later) <= 0.9e6


# What is computed

EXPLAIN = """([engine, pictures]) => {
  const net = network(engine), list = (values) => Array.from(values);
  return pictures.map(([place, target]) => {
    const pixels = pixelsOf(place), found = {
      logits: list(net.logits(pixels)),
      cam: list(XC.cam(net, pixels, target)),
      "grad-cam": list(XC.gradCam(net, pixels, target)),
      path: [],
    };
    if (engine === "WebAssembly") { // 129 forwards; the other engine gives the same bits
      found["score-cam"] = list(XC.finish(XC.scoreCam(net, pixels, target)));
    }
    const steps = XC.optiCam(net, pixels, target);
    let next = steps.next();
    for (; !next.done; next = steps.next()) {
      const { step, value, mask } = next.value;
      found.path.push(value);
      if (step === 1 || step === 10) found[`opti-cam ${step}`] = list(mask);
    }
    found["opti-cam 100"] = list(next.value.mask);
    found.p = XC.softmax(net.logits(pixels))[target];
    found.o = XC.softmax(next.value.logits)[target];
    return { ...found, ...XC.measures(found.p, found.o) };
  });
}"""


def expected(classifier, images, targets):
    """What the package finds in float64, by the names that the script gives it."""
    explainer = xc.OptiCAM(classifier)
    found = explainer.optimise(images, targets)
    last = explainer.saliency(combine(found.weights, found.features), images.shape[-2:])
    p, o = xc.confidence(classifier, images, last, targets)
    return {
        "logits": classifier(images).detach(),
        "cam": xc.CAM(classifier)(images, targets),
        "grad-cam": xc.GradCAM(classifier)(images, targets),
        "opti-cam 1": xc.OptiCAM(classifier, iterations=1)(images, targets),
        "opti-cam 10": xc.OptiCAM(classifier, iterations=10)(images, targets),
        "opti-cam 100": last,
        "path": found.objective.T,
        "p": p,
        "o": o,
        "drop": xc.average_drop(p, o),
        "increase": xc.average_increase(p, o),
        "gain": xc.average_gain(p, o),
    }


@pytest.mark.parametrize(("engine", "places"), [("WebAssembly", [0, 9]), ("script", [10])])
def test_the_script_agrees_with_the_package(page, data, classifier, engine, places):
    pictures = [data["pictures"][place] for place in places]
    images = torch.cat([image("species", picture["seed"]) for picture in pictures])
    targets = [picture["species"] for picture in pictures]
    found = page.evaluate(EXPLAIN, [engine, list(zip(places, targets, strict=True))])
    targets = torch.tensor(targets)
    wanted = expected(classifier, images, targets)
    if engine == "WebAssembly":
        wanted["score-cam"] = xc.ScoreCAM(classifier)(images, targets)
    for name, values in wanted.items():
        got = torch.tensor([each[name] for each in found], dtype=torch.float64)
        assert (got.view_as(values) - values).abs().max() <= TOLERANCE, name


@pytest.mark.parametrize("objective", ["diff", "iomask", "iodiff"])
def test_every_objective_agrees_with_the_package(page, data, classifier, objective):
    seed, target = data["pictures"][1]["seed"], data["pictures"][1]["species"]
    wanted = xc.OptiCAM(classifier, iterations=5, objective=objective)(
        image("species", seed), target
    )
    found = page.evaluate(
        """([target, objective]) => {
          const options = { iterations: 5, objective };
          const steps = XC.optiCam(network("WebAssembly"), pixelsOf(1), target, options);
          return Array.from(XC.finish(steps).mask);
        }""",
        [target, objective],
    )
    assert np.abs(np.array(found) - wanted.flatten().numpy()).max() <= TOLERANCE


def test_engines_give_the_same_bits_and_networks_do_not_disturb_one_another(page):
    one, other = page.evaluate(
        """() => {
          const pixels = pixelsOf(2), found = [[], []];
          const turns = ["WebAssembly", "script"].map(
            (engine) => XC.optiCam(network(engine), pixels, 3, { iterations: 5 }));
          for (let step = 0; step < 5; step++) {
            turns.forEach((turn, i) => found[i].push(...turn.next().value.mask));
          }
          return found;
        }"""
    )
    assert one == other
    assert len(set(one)) > 1000


def test_the_measures_are_the_packages(page):
    pairs = [(p, o) for p in (0.0, 0.2, 0.7, 1.0) for o in (0.0, 0.2, 0.5, 1.0)]
    found = page.evaluate("(pairs) => pairs.map(([p, o]) => XC.measures(p, o))", pairs)
    p, o = torch.tensor(pairs, dtype=torch.float64).T
    for name in ("drop", "increase", "gain"):
        wanted = getattr(xc, f"average_{name}")(p, o).tolist()
        assert [each[name] for each in found] == pytest.approx(wanted, abs=1e-15)


def test_a_constant_map_shows_nothing(page):
    found = page.evaluate(
        "[0, 0.1, -7].map((v) => Array.from(XC.saliency(new Float64Array(64).fill(v), 8)))"
    )
    assert np.array_equal(found, np.zeros((3, 4096)))


def test_the_mask_over_the_picture_is_in_the_books_colours(page, data):
    picture = data["pictures"][0]
    saliency = torch.linspace(0, 1, 4096).view(1, 64, 64)
    drawn = page.evaluate(
        """(mask) => Array.from(XC.canvasOf(pixelsOf(0), mask, "over")
          .getContext("2d").getImageData(0, 0, 64, 64).data)""",
        saliency.flatten().tolist(),
    )
    rgb = np.array(drawn).reshape(64, 64, 4)[..., :3]
    wanted = xc.plot.blend(image("species", picture["seed"])[0], saliency)
    assert np.abs(rgb - 255 * wanted).max() < 2
