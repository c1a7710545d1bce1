"""The playground's page: painting, methods, board, links, files, and what goes wrong in words."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xaicore as xc
from _ext.playground import SCRIPTS
from tests.book.alone import image
from xaibook.flowers import flower_classifier

FLOWER, CLASS = 900001, 3
SOURCES = Path(__file__).parents[2] / "book" / "_static" / "playground"
READY = ".xc-play[data-ready]"
IDLE = ".xc-play[data-ready]:not([data-running])"


def new_page(browser, wrong, script=None, **options):
    """Return a page in a context of its own that notes what goes wrong."""
    context = browser.new_context(**{"viewport": {"width": 700, "height": 600}, **options})
    if script:
        context.add_init_script(script)
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    here = ("file:", "blob:", "data:", "about:")
    page.on("request", lambda r: None if r.url.startswith(here) else wrong.append(r.url))
    return page


@pytest.fixture(scope="module")
def plain(browser):
    """Return a page for all tests that ask for nothing special, and what went wrong there."""
    wrong = []
    page = new_page(browser, wrong)
    yield page, wrong
    page.context.close()


@pytest.fixture
def opened(playground, browser, plain):
    """Return a function that opens the playground from disk, and what went wrong there."""
    special, wrong = [], plain[1]
    wrong.clear()

    def open_(address="", **options):
        if options:
            special.append(new_page(browser, wrong, **options))
        page = special[-1] if options else plain[0]
        page.goto("about:blank")
        page.goto(playground.as_uri() + address)
        page.wait_for_selector(READY)
        return page

    open_.wrong = wrong
    yield open_
    for page in special:
        page.context.close()


def session(page, what):
    """Return something of what the page holds."""
    return page.evaluate(f"(() => {{ const session = XC.playground.session; return {what}; }})()")


def mask_of(page):
    return np.array(session(page, "Array.from(session.mask)")).reshape(64, 64)


def run(page, method):
    page.locator(f"[data-act={method}]").click()
    page.wait_for_selector(IDLE)


def shorten(page, iterations):
    """Let Opti-CAM take fewer steps."""
    page.evaluate(
        f"""() => {{
          const real = XC.optiCam, iterations = {iterations};
          XC.optiCam = (net, pixels, target, options) => (
            real(net, pixels, target, {{ ...options, iterations }}));
        }}"""
    )


def spoken(page, word):
    """Wait until the page says something."""
    page.wait_for_function(
        "(word) => document.querySelector('#xc-said').textContent.includes(word)", arg=word
    )


def refusal(page):
    """Wait until the page refuses something, and return the sentence."""
    page.wait_for_selector("[role=alert]:not(:empty)")
    return page.locator("[role=alert]").inner_text()


def level(values):
    return np.floor(255 * values + 0.5) / 255


def dabbed(mask, x, y, radius, goal=0.0, strength=1.0):
    """Return a mask after one touch of the brush."""
    rows, columns = np.mgrid[:64, :64]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return level(np.where(inside, mask + (goal - mask) * strength, mask))


def probability(mask, seed=FLOWER, target=CLASS, question="species"):
    """Return what the package gives for the class through a mask, in float64."""
    classifier = flower_classifier(question).double()
    maps = torch.from_numpy(mask)[None, None]
    return xc.confidence(classifier, image(question, seed), maps, target)[1].item()


def test_mouse_keyboard_finger_undo_and_invert_paint_what_they_say(opened):
    page = opened(viewport={"width": 700, "height": 900}, has_touch=True)
    stage = page.locator(".xc-stage")
    corner = "document.querySelector('.xc-stage canvas').getBoundingClientRect()"

    def place(x, y):
        stage.scroll_into_view_if_needed()
        box = page.evaluate(f"(({{ x, y, width }}) => [x, y, width])({corner})")
        return box[0] + x * box[2], box[1] + y * box[2]

    def pixels(x, y):
        return x * 64 - 0.5, y * 64 - 0.5

    page.mouse.move(*place(0.25, 0.25))
    page.mouse.down()
    page.mouse.move(*place(0.25, 0.28125))  # two pixels on, one step
    page.mouse.up()
    wanted = dabbed(dabbed(np.ones((64, 64)), *pixels(0.25, 0.25), 6), *pixels(0.25, 0.28125), 6)
    assert np.array_equal(mask_of(page), wanted)

    stage.focus()
    for key in ("ArrowRight", "Shift+ArrowDown", "-", "-", "Space"):
        page.keyboard.press(key)
    wanted = dabbed(wanted, 34, 40, 4)
    assert np.array_equal(mask_of(page), wanted)
    page.locator("[name=strength]").fill("0.5")
    stage.focus()
    page.keyboard.press("x")
    page.keyboard.press("Space")
    wanted = dabbed(wanted, 34, 40, 4, goal=1, strength=0.5)
    assert np.array_equal(mask_of(page), wanted)
    assert 0.4 < wanted[40, 34] < 0.6

    page.locator("[data-act=invert]").click()
    assert np.array_equal(mask_of(page), level(1 - wanted))
    stage.focus()
    page.keyboard.press("u")
    assert np.array_equal(mask_of(page), wanted)
    page.keyboard.press("x")
    page.locator("[name=strength]").fill("1")
    page.touchscreen.tap(*place(0.75, 0.5))
    wanted = dabbed(wanted, *pixels(0.75, 0.5), 4)
    assert np.array_equal(mask_of(page), wanted)

    found = session(page, "session.found")
    assert found["area"] == pytest.approx(wanted.mean(), abs=1e-12)
    assert found["o"] == pytest.approx(probability(wanted), abs=1e-9)
    assert page.locator("[data-part=area]").inner_text() == f"{100 * wanted.mean():.1f}\xa0%"
    spoken(page, "through the mask")
    page.keyboard.press("Escape")
    stage.focus()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.name") == "tool"
    assert opened.wrong == []


def test_opti_cam_runs_to_its_end_and_can_be_looked_through_stopped_and_left(opened):
    page = opened()
    run(page, "opti-cam")
    assert session(page, "XC.playground.path.steps.length") == 101
    model, picture = flower_classifier("species").double(), image("species", FLOWER)
    maps = xc.OptiCAM(model)(picture, CLASS)
    gain = xc.average_gain(*xc.confidence(model, picture, maps, CLASS)).item()
    assert session(page, "session.board.get('Opti-CAM').gain") == pytest.approx(gain, abs=1e-9)
    assert page.locator("[data-part=board] th").inner_text() == "Opti-CAM"

    slider = page.get_by_role("slider", name="step")
    slider.focus()
    page.keyboard.press("Home")
    start = xc.OptiCAM(model, iterations=0)(picture, CLASS)
    assert np.abs(mask_of(page) - start[0, 0].numpy()).max() < 1e-9
    assert slider.get_attribute("aria-valuetext").startswith("step 0, objective ")
    page.keyboard.press("End")
    assert np.abs(mask_of(page) - maps[0, 0].numpy()).max() < 1e-9

    page.locator("[data-act=opti-cam]").click()
    page.wait_for_function("XC.playground.path.steps.length > 3")
    page.locator("[data-act=stop]").click()
    steps = session(page, "XC.playground.path.steps.length")
    assert steps < 101
    assert session(page, "session.origin.step") == steps - 1
    page.locator("[data-act=opti-cam]").click()
    page.wait_for_function("XC.playground.path.steps.length > 3")
    page.locator("[data-part=species] label").nth(1).click()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert np.array_equal(mask_of(page), np.ones((64, 64)))
    assert session(page, "session.board.size") == 0
    assert page.locator("[data-part=path]").is_hidden()
    assert opened.wrong == []


def test_the_board_keeps_yours_apart_from_the_methods_and_shows_a_mask_again(opened):
    page = opened()
    run(page, "grad-cam")
    page.locator("[data-act=invert]").click()
    page.locator("[data-act=fake-cam]").click()
    fake = mask_of(page)
    assert fake[0, 0] == 0
    assert fake.sum() == 4095
    names = session(page, "[...session.board.keys()]")
    assert names == ["Grad-CAM", "Grad-CAM, edited", "Fake-CAM"]
    assert page.locator("[data-part=lead]").inner_text().startswith("Nothing to compare")
    page.locator("[data-act=all]").click()
    page.locator(".xc-stage").focus()
    page.keyboard.press("Space")
    assert session(page, "session.board.has('You')")
    best = session(page, "session.board.get('You').drop")
    page.locator("[data-act=invert]").click()
    assert session(page, "session.found.drop") > best
    assert session(page, "session.board.get('You').drop") == best
    page.get_by_role("button", name="Fake-CAM", exact=True).click()
    assert np.array_equal(mask_of(page), fake)
    scores = session(page, "session.ranking.map(([, entry]) => XC.score(entry))")
    assert scores == sorted(scores, reverse=True)


def test_the_same_mask_and_another_question(opened):
    page = opened()
    page.locator("[data-part=twins] label").first.click()
    page.wait_for_function("XC.playground.session.question === 'petal'")
    seed, petal, stem = session(
        page, "['seed', 'petal', 'stem'].map((part) => session.picture[part])"
    )
    page.locator(".xc-stage").focus()
    page.keyboard.press("Space")
    mask = mask_of(page)
    for question, target in (("petal", petal), ("stem", stem)):
        page.locator("[name=question]").select_option(question)
        page.wait_for_function(f"XC.playground.session.question === '{question}'")
        assert np.array_equal(mask_of(page), mask)
        assert session(page, "session.target") == target
        wanted = probability(mask, seed, target, question)
        assert session(page, "session.found.o") == pytest.approx(wanted, abs=1e-9)
    run(page, "cam")
    page.locator("[name=target]").select_option(str((stem + 1) % 4))
    assert session(page, "session.origin.method") is None
    assert session(page, "session.origin.name").startswith("CAM, for ")
    assert opened.wrong == []


@pytest.mark.parametrize("painted", [True, False])
def test_a_link_a_file_and_python_carry_the_same_numbers(opened, tmp_path, monkeypatch, painted):
    page = opened(
        script="window.copied = []; Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: async (text) => window.copied.push(text)}})"
    )
    if painted:
        page.locator("[name=strength]").fill("0.7")
        page.locator(".xc-stage").focus()
        page.keyboard.press("Space")
    else:
        shorten(page, 12)
        run(page, "opti-cam")
        page.get_by_role("slider", name="step").fill("10")
    mask, found = mask_of(page), session(page, "session.found")
    page.locator("[data-act=link]").click()
    page.wait_for_function("window.copied.length")
    link = page.evaluate("window.copied[0]")
    with page.expect_download() as download:
        page.locator("[data-act=numbers]").click()
    download.value.save_as(tmp_path / "mask.json")
    saved = json.loads((tmp_path / "mask.json").read_text())
    assert np.array_equal(saved["mask"], mask)
    assert (saved["picture"], saved["class"], saved["average_gain"]) == (
        FLOWER,
        CLASS,
        found["gain"],
    )

    page.locator("summary", has_text="Python").click()
    code, printed = page.locator("pre code").inner_text(), io.StringIO()
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(printed):
        exec(code, {})
    names = ("p", "o", "drop", "gain")
    assert list(map(float, printed.getvalue().split())) == pytest.approx(
        [found[name] for name in names], abs=1e-9
    )

    page.locator("[data-part=species] label").nth(1).click()
    page.evaluate("(hash) => { location.hash = hash; }", link.partition("#")[2])
    page.wait_for_function(f"XC.playground.session.picture.seed === {FLOWER}")
    page.wait_for_selector(IDLE)
    page.wait_for_function("(area) => XC.playground.session.found.area === area", arg=found["area"])
    assert np.array_equal(mask_of(page), mask)
    assert session(page, "session.found") == found
    assert opened.wrong == []


def test_a_preset_in_the_address_runs_its_method(opened):
    page = opened("?flower=900005&class=2&method=score-cam")
    page.wait_for_function("XC.playground.session.board.has('Score-CAM')")
    assert session(page, "[session.picture.seed, session.target]") == [900005, 2]
    page.evaluate("location.hash = '#flower=900001&method=cam'")
    page.wait_for_function("XC.playground.session.board.has('CAM')")
    assert session(page, "session.picture.seed") == FLOWER
    assert opened.wrong == []


REFUSALS = {
    "flower=7": "This link names a flower that is not in the playground: 7.",
    "flower=900001&question=leaf": "This link asks a question that there is not: leaf.",
    "flower=900001&class=9": "This link names a class that there is not: 9.",
    "flower=900001&method=lime": "This link names a method that is not in the playground: lime.",
    "flower=900001&method=opti-cam&objective=x": (
        "This link names an objective that there is not: x."
    ),
    "flower=900001&method=opti-cam&step=101": "The step in this link is not one from 0 to 100.",
    "flower=900001&mask=7dEx": (
        "The mask in this link cannot be read; the link may have been cut short."
    ),
}


def test_a_link_that_cannot_be_followed_is_refused_in_words(opened):
    first, *others = REFUSALS.items()
    page = opened(f"#{first[0]}")
    assert refusal(page) == f"{first[1]} The first picture is shown instead."
    assert session(page, "session.picture.seed") == FLOWER
    page.locator("[data-part=species] label").nth(1).click()
    for address, sentence in others:
        page.evaluate("(hash) => { XC.playground.alert(''); location.hash = hash; }", address)
        assert refusal(page) == f"{sentence} What was shown is kept."
        assert session(page, "session.picture.seed") == 900005
    assert opened.wrong == []


def test_a_picture_of_yours_is_explained_and_what_is_none_is_refused(opened, tmp_path):
    Image.new("RGB", (90, 64), (200, 30, 30)).save(tmp_path / "red.png")
    Image.new("RGB", (40, 7)).save(tmp_path / "flat.png")
    (tmp_path / "text.png").write_text("no picture")
    page = opened()
    chooser = page.locator("[type=file]")

    def refused(name):
        page.evaluate("XC.playground.alert('')")
        chooser.set_input_files(tmp_path / name)
        return refusal(page)

    assert refused("text.png") == "text.png cannot be read as a picture."
    assert refused("flat.png") == "flat.png has 40 × 7 pixels: a picture needs 8 each way."
    page.evaluate(
        "window.real = createImageBitmap;"
        "window.createImageBitmap = async () => ({ width: 8000, height: 7000 })"
    )
    assert (
        refused("red.png")
        == "red.png has 8000 × 7000 pixels, more than 50 million: take a smaller copy of it."
    )
    assert session(page, "session.picture.seed") == FLOWER

    page.evaluate("window.createImageBitmap = window.real; null")
    chooser.set_input_files(tmp_path / "red.png")
    page.wait_for_function("XC.playground.session.picture.name === 'red.png'")
    assert page.locator("[role=alert]").inner_text() == ""
    pixels = session(page, "[...new Set(session.picture.pixels)]")
    assert sorted(pixels) == sorted(map(float, np.float32([200, 30]) / np.float32(255)))
    run(page, "grad-cam")
    page.locator("[data-act=link]").click()
    page.locator("[data-part=kept]", has_text="A picture of yours is in no link").wait_for()
    for kind, target in (("drop", "document.body"), ("paste", "document")):
        page.locator("[data-part=species] label").first.click()
        page.evaluate(
            f"""() => {{
              const file = new File(['none'], "{kind}.png"), data = new DataTransfer();
              data.items.add(file);
              const Event = "{kind}" === "drop" ? DragEvent : ClipboardEvent;
              const options = {{ bubbles: true, dataTransfer: data, clipboardData: data }};
              {target}.dispatchEvent(new Event("{kind}", options));
            }}"""
        )
        assert refusal(page) == f"{kind}.png cannot be read as a picture."
    assert opened.wrong == []


def test_where_a_browser_takes_something_away_the_rest_works(opened):
    page = opened(
        script="delete window.WebAssembly; Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: async () => { throw new Error('no'); }}}); "
        "const real = CanvasRenderingContext2D.prototype.getImageData; "
        "CanvasRenderingContext2D.prototype.getImageData = function (...box) { "
        "const image = real.apply(this, box); image.data[0] ^= 1; return image; }"
    )
    assert session(page, "session.net.engine.name") == "script"
    page.locator("summary", has_text="computed").click()
    page.locator("[data-part=computed]", has_text="by script").wait_for()
    assert page.locator("[type=file]").is_disabled()
    assert "none of yours can be used" in page.locator("[data-part=own]").inner_text()
    page.locator("[data-act=link]").click()
    field = page.get_by_label("The link")
    field.wait_for()
    assert "#flower=900001&class=3&mask=" in field.input_value()
    assert page.evaluate("getSelection().toString()") == field.input_value()
    run(page, "cam")
    assert session(page, "session.board.has('CAM')")
    assert opened.wrong == []


def test_a_network_that_does_not_load_is_refused_in_words(browser, playground, tmp_path):
    shutil.copy2(playground, tmp_path)
    scripts = tmp_path / "playground"
    scripts.mkdir()
    for script in playground.with_name("playground").iterdir():
        if script.name != "stem.js":
            (scripts / script.name).symlink_to(script)
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector(READY)
    page.locator("[data-part=twins] label").first.click()
    page.wait_for_function("XC.playground.session.question === 'petal'")
    page.locator("[name=question]").select_option("stem")
    assert refusal(page) == "The network for this question did not load: stem.js is missing."
    assert session(page, "session.question") == "petal"
    assert page.locator("[name=question]").input_value() == "petal"
    page.close()


def test_the_script_takes_one_global_name_and_keeps_to_its_columns(opened):
    page = opened()
    added = page.evaluate(
        """() => {
          const fresh = document.body.appendChild(document.createElement("iframe")).contentWindow;
          const kept = (name) => !(name in fresh) && !/^[0-9]+$/.test(name);
          return Object.getOwnPropertyNames(window).filter(kept);
        }"""
    )
    assert added == ["XC"]
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.js")}
    assert set(scripts) == set(SCRIPTS) - {"data"}
    assert max(len(line) for text in scripts.values() for line in text.splitlines()) <= 120


def test_less_motion_draws_every_tenth_step_and_a_png_shows_the_end(opened, tmp_path):
    page = opened(reduced_motion="reduce")
    page.evaluate(
        "XC.drawn = 0; const { path } = XC.playground, draw = path.drawChart; "
        "path.drawChart = function (at) { XC.drawn += 1; draw.call(path, at); }; null"
    )
    shorten(page, 25)
    run(page, "opti-cam")
    assert page.evaluate("XC.drawn") == 4
    assert session(page, "XC.playground.path.steps.length") == 26
    with page.expect_download() as download:
        page.locator("[data-act=picture]").click()
    download.value.save_as(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as poster:
        assert poster.size == (1200, 448)
        shown = np.asarray(poster.convert("RGB"))[12 : 12 + 384 : 6, 12 : 12 + 384 : 6]
    assert np.array_equal(shown, (255 * image("species", FLOWER)[0]).round().permute(1, 2, 0))


def test_the_last_choice_wins_while_a_network_is_loaded(opened):
    page = opened()
    page.evaluate(
        """async () => {
          const labels = [...document.querySelectorAll("[name=picture]")];
          for (const place of [12, 1]) labels[place].click();
          while (!XC.data.networks.petal) await new Promise((done) => setTimeout(done, 10));
          await new Promise((done) => setTimeout(done, 50));
        }"""
    )
    assert session(page, "[session.picture.seed, session.question]") == [900005, "species"]
    assert page.locator("[name=picture]:checked").get_attribute("value") == "species 900005"


def test_the_book_has_it_on_one_page_and_says_so_where_there_is_no_script(site, pages, browser):
    naming = [
        path.name for path, soup in pages.items() if soup.select('script[src*="playground/"]')
    ]
    assert naming == ["playground.html"]
    assert (
        "needs JavaScript" in pages[site / "book" / "playground.html"].select_one(".xc-play").text
    )
    for source in SOURCES.iterdir():
        assert (site / "_static" / "playground" / source.name).read_bytes() == source.read_bytes()
    page = browser.new_page()
    page.goto((site / "book" / "playground.html").as_uri())
    page.wait_for_selector(READY)
    assert page.locator("h1:visible").count() == 1
    page.close()
