"""The pages in a browser: light and dark, wide and narrow, served and from disk, offline."""

import functools
import http.server
import importlib.util
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from driver.chapter import chapters
from driver.reading import page as read_page
from xaicore.html import LEGIBLE

ROOT = Path(__file__).parents[2]
PAGES = [
    "book/intro",
    "book/how_to_run",
    "book/bibliography",
    "book/playground",
    *(f"book/chapters/{chapter.name}" for chapter in chapters(ROOT)),
    "search",
]
HEIGHT = {1400: 1000, 390: 844}
SMALLEST = """() => {
  let smallest = [99, ""];
  const see = (pixels, what) => { if (pixels < smallest[0]) smallest = [pixels, what]; };
  for (const drawn of document.querySelectorAll(".xc-scrolled > *")) {
    const { width } = drawn.getBoundingClientRect();
    if (!width) continue;
    const alt = drawn.alt ?? drawn.getAttribute("aria-label");
    const least = parseFloat(getComputedStyle(drawn).getPropertyValue("--legible"));
    if (drawn.tagName == "IMG") see(least ? (9 * width) / least : 99, alt);
    for (const text of drawn.querySelectorAll("text")) {
      const { a, b } = text.getScreenCTM();
      see(Math.hypot(a, b) * parseFloat(getComputedStyle(text).fontSize), alt);
    }
  }
  for (const text of document.querySelectorAll(".xc-drawing *"))
    see(parseFloat(getComputedStyle(text).fontSize), text.textContent);
  return smallest;
}"""
"""The pixels of the smallest type in the figures of a page, and which figure it is in."""
FRAMED = {f"book/chapters/{c.name}" for c in chapters(ROOT) if read_page(c.source).framed}
OVERFLOWS = """() => [...document.querySelectorAll(
    '.bd-article div.math mjx-container, .bd-article div.highlight pre')]
  .filter((e) => !e.closest('details:not([open])') && e.scrollWidth > e.clientWidth + 1)
  .map((e) => [e.textContent.slice(0, 60), getComputedStyle(e).overflowX])"""
"""The equations and the code that are wider than their place, and whether they scroll."""


def write_page(path: Path, body: str, *names: str) -> str:
    """Write a page of its own with some of the book's styles and scripts; return its address."""
    text = {name: (ROOT / "book/_static" / name).read_text("utf-8") for name in names}
    styles = "".join(f"<style>{text[name]}</style>" for name in names if name.endswith(".css"))
    scripts = "".join(f"<script>{text[name]}</script>" for name in names if name.endswith(".js"))
    head = f"<!doctype html><html data-theme=light><title>t</title>{styles}"
    path.write_text(f"{head}{body}{scripts}", encoding="utf-8")
    return path.as_uri()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    """Serve the book and return its address."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the script that looks for barriers."""
    spec = importlib.util.find_spec("axe_playwright_python")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def open_page(browser, address, site):
    """Return a function that opens a page, and the list of what went wrong in it."""
    contexts, wrong = [], []
    allowed = (address, site.as_uri(), "data:", "blob:")

    def route(request):
        if request.request.url.startswith(allowed):
            request.continue_()
        else:
            wrong.append(f"asked for {request.request.url}")
            request.abort()

    def open_(name, scheme="light", width=1400, base=address):
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": HEIGHT[width]}
        )
        contexts.append(context)
        context.route("**/*", route)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                wrong.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None
        )
        page.goto(f"{base}{name}.html", wait_until="load")
        page.wait_for_function("!window.MathJax?.startup || window.MathJax.startup.promise")
        page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        page.wait_for_timeout(150)
        return page

    open_.wrong = wrong
    yield open_
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", HEIGHT)
@pytest.mark.parametrize("name", PAGES)
def test_page_is_sound(open_page, axe, name, width, scheme):
    page = open_page(name, scheme, width)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide <= 0
    small, unread = page.evaluate(SMALLEST)
    assert small >= LEGIBLE - 0.1, unread
    overflows = page.evaluate(OVERFLOWS)
    assert {scrolls for _, scrolls in overflows} <= {"auto"}
    if width == 1400 and name in FRAMED:
        assert overflows == []
    shades = ".xc-scroll, mjx-container, pre { background-image: none !important }"
    page.add_style_tag(content=shades)  # or no contrast can be computed
    page.evaluate(axe)
    result = page.evaluate("axe.run(document, {preload: false, resultTypes: ['violations']})")
    barriers = [
        (v["id"], v["impact"], [node["target"] for node in v["nodes"]][:5])
        for v in result["violations"]
    ]
    assert barriers == []
    assert open_page.wrong == []


def test_no_other_page_is_wider_than_a_phone(open_page, site):
    others = [str(path.relative_to(site).with_suffix("")) for path in site.glob("book/**/*.html")]
    wide = {}
    for name in sorted({*others, "genindex"} - {*PAGES}):
        page = open_page(name, width=390)
        wide[name] = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        page.close()
    assert len(wide) > 20
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}


def test_no_folded_box_is_taller_than_its_title(open_page):
    page = open_page("book/chapters/interpretable_gradients")  # one of which holds a formula
    folded = page.locator(".admonition.toggle-hidden").all()
    assert len(folded) > 3
    assert max(box.bounding_box()["height"] for box in folded) < 60


@pytest.mark.parametrize("name", [page for page in PAGES if "chapters" in page])
def test_mathematics_is_set_and_figures_keep_their_colours(open_page, name):
    page = open_page(name, "dark")
    formulas = page.locator("mjx-container").count()
    assert formulas == page.locator(".math").count()
    assert formulas or name.endswith("_tables")  # these hold tables alone
    filters = page.evaluate(
        "[...document.querySelectorAll('.bd-article img')].map(i => getComputedStyle(i).filter)"
    )
    assert set(filters) <= {"none"}


def test_the_colour_switch_switches(open_page):
    page = open_page("book/intro")
    modes = []
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        modes.append(page.evaluate("document.documentElement.dataset.theme"))
    assert set(modes) == {"light", "dark"}
    assert open_page.wrong == []


@pytest.mark.parametrize("from_disk", [False, True], ids=["served", "from disk"])
def test_search_finds(open_page, site, address, from_disk):
    page = open_page("book/intro", base=f"{site.as_uri()}/" if from_disk else address)
    page.keyboard.press("Control+K")
    page.locator("input[type=search]:visible").first.fill("saliency")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    assert "book/" in page.locator("#search-results li a").first.get_attribute("href")
    assert open_page.wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_page_works_from_disk(open_page, site, name):
    page = open_page(name, base=f"{site.as_uri()}/")
    assert page.locator("h1:visible").count() == 1
    assert open_page.wrong == []


def test_a_slider_moves_by_keyboard(browser, tmp_path):
    import matplotlib.pyplot as plt

    from xaibook import chapter

    figures = [plt.figure(figsize=(2, 1)) for _ in range(3)]
    shown = chapter.slider(figures, ["none", "ten", "twenty"], "step", "A curve")
    page = browser.new_page()
    page.goto(write_page(tmp_path / "slider.html", f"<h1>t</h1>{shown.html}"))
    slider = page.get_by_role("slider", name="step")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").inner_text() == "ten"
    assert slider.get_attribute("aria-valuetext") == "ten"
    page.keyboard.press("End")
    assert page.locator("img:visible").get_attribute("alt") == "A curve (step: twenty)"
    page.close()


def test_a_picture_is_chosen_by_list_and_slider(browser, tmp_path):
    import numpy as np

    from xaibook.chooser import chooser

    frames = {(p, s): np.zeros((4, 4, 3)) for p in ("cat", "dog") for s in ("0", "20")}
    said = {key: " at ".join(key) for key in frames}
    shown = chooser(frames, ["picture", "step"], "A map", said, ordered=["step"])
    page = browser.new_page()
    page.goto(write_page(tmp_path / "chooser.html", f"<h1>t</h1>{shown.html}"))
    page.get_by_label("picture").select_option("dog")
    slider = page.get_by_role("slider", name="step")
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "20"
    assert page.locator("img:visible").get_attribute("alt") == "A map (picture: dog, step: 20)"
    assert page.get_by_role("status").inner_text() == "dog at 20"
    page.close()


def test_a_figure_is_enlarged_by_mouse_and_keyboard_and_scrolls(browser, tmp_path):
    from matplotlib.figure import Figure

    from xaibook.vector import inline, svg

    figure = Figure(figsize=(8, 3))
    figure.subplots().set_title("Twelve", fontsize=12)
    drawn = inline(svg(figure), "A title", "f0")
    body = f'<main class="bd-article bd-content"><h1>t</h1><figure>{drawn}</figure></main>'
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(write_page(tmp_path / "figure.html", body, "custom.css", "figures.js"))
    assert page.evaluate(SMALLEST)[0] >= LEGIBLE - 0.1
    box, dialog = page.locator(".xc-scrolled"), page.get_by_role("dialog")
    assert box.get_attribute("tabindex") == "0"
    assert "xc-after" in box.get_attribute("class")
    page.get_by_role("button", name="Enlarge the figure").focus()
    page.keyboard.press("Enter")
    large = dialog.locator("svg")
    assert large.bounding_box()["width"] > box.locator("svg").bounding_box()["width"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.className") == "xc-enlarge"
    box.click()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()
    page.close()


def test_drawings_fit_wide_and_narrow(browser, tmp_path):
    import torch

    from xaibook.drawings import anatomy, masking_strip

    image, features = torch.rand(3, 64, 64), torch.rand(12, 8, 8)
    drawn = [
        anatomy(image, features, torch.randn(12), "Anatomy", channels=range(8)),
        masking_strip(image, {"Extremal perturbation": features[:1]}, 0.5, torch.ones(1), "Strip"),
    ]
    shown = "".join(f"<div>{fragment.html}</div>" for fragment in drawn)
    page = browser.new_page()
    page.goto(write_page(tmp_path / "d.html", f"<style>body {{ margin: 0 }}</style>{shown}"))
    heights = []
    for width in (700, 342):
        page.set_viewport_size({"width": width, "height": 800})
        for drawing in page.locator(".xc-drawing").all():
            inside = drawing.evaluate("d => [...d.querySelectorAll('*')].map(e => e.scrollWidth)")
            assert max(inside) <= width
            heights.append(drawing.bounding_box()["height"])
        assert page.evaluate(SMALLEST)[0] >= LEGIBLE
    assert heights[0] < 360 < heights[2]
    page.close()


def test_a_sortable_table_is_sorted_and_narrowed(browser, tmp_path):
    import pandas as pd

    from xaicore import html

    frame = pd.DataFrame(
        {"method": ["CAM", "noise", "VEBI"], "kind": ["map", "floor", "map"], "PC": [9.5, -0.5, 30]}
    )
    shown = html.table(frame, "board", "Methods", sortable=True)
    page = browser.new_page()
    page.goto(write_page(tmp_path / "board.html", f"<h1>t</h1>{shown.html}", "tables.js"))

    def rows():
        return page.locator("tbody tr:visible th").all_inner_texts()

    page.get_by_role("button", name="PC").click()
    assert rows() == ["VEBI", "CAM", "noise"]
    page.get_by_role("button", name="PC").press("Enter")
    assert rows() == ["noise", "CAM", "VEBI"]
    assert page.locator("th[aria-sort]").inner_text() == "PC"
    page.get_by_role("button", name="method").click()
    assert rows() == ["CAM", "noise", "VEBI"]
    page.get_by_label("Show rows with").fill("MAP cam")
    assert rows() == ["CAM"]
    assert page.get_by_role("status").inner_text() == "1 of 3 rows"
    page.get_by_label("Show rows with").fill("")
    assert len(rows()) == 3
    assert page.get_by_role("status").inner_text() == ""
    page.close()


def test_a_long_wide_table_keeps_its_heads_in_sight_and_has_the_margin(browser, tmp_path):
    import pandas as pd

    from xaicore import html

    frame = pd.DataFrame({"method": [f"m{i}" for i in range(60)]}).assign(
        **{f"a long name {i}": 1.5 for i in range(24)}
    )
    body = "<main class=bd-article style='width: 700px; max-width: 100%'><h1>t</h1>"
    body += f"{html.table(frame, 'wide', 'Wide').html}</main>"
    address = write_page(tmp_path / "wide.html", body, "custom.css", "tables.js")
    for width in (1300, 390):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(address)
        assert "full-width" in page.locator("#wide").get_attribute("class")
        box = page.locator(".xc-scroll")
        box.evaluate("box => box.scrollTo(150, 900)")
        inside, corner = box.bounding_box(), page.locator("thead th").first.bounding_box()
        name = page.locator("tbody th").last.bounding_box()
        assert corner["x"] == name["x"] == pytest.approx(inside["x"], abs=1)
        assert corner["y"] == pytest.approx(inside["y"], abs=1)
        page.close()


@pytest.mark.parametrize(
    ("name", "table", "column"),
    [("leaderboard", "board", "PC ↑"), ("leaderboard_tables", "board-removals", "deletion")],
)
def test_a_leaderboard_is_sorted_narrowed_and_downloaded_from_disk(
    open_page, site, name, table, column
):
    import pandas as pd

    page = open_page(f"book/chapters/{name}", base=f"{site.as_uri()}/")
    board = page.locator(f"#{table}")
    heads = board.locator("thead th").all_inner_texts()
    place = [head.strip() for head in heads].index(column) + 1
    cells = board.locator(f"tbody tr:visible > :nth-child({place})")

    def values():
        texts = cells.all_inner_texts()
        means = [text.partition("\N{NO-BREAK SPACE}±")[0] for text in texts if text != "–"]
        return [float(mean.replace("−", "-")) for mean in means]

    head = board.get_by_role("button", name=column, exact=True)
    head.click()
    assert values() == sorted(values(), reverse=True)
    head.press("Enter")
    assert values() == sorted(values())
    assert board.locator("th[aria-sort=ascending]").inner_text().strip() == column
    count = board.locator("tbody tr").count()
    board.get_by_label("Show rows with").fill("cam grad")
    kept = board.locator("tbody tr:visible").all_inner_texts()
    assert 0 < len(kept) < count
    assert all("cam" in row.lower() and "grad" in row.lower() for row in kept)
    with page.expect_download() as download:
        board.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == f"{table}.csv"
    frame = pd.read_csv(download.value.path())
    assert len(frame) == count
    assert [column for column in frame if "±" not in column] == [head.strip() for head in heads]
    assert open_page.wrong == []


def test_signs_of_the_matrix_of_claims_stand_in_their_cells(open_page, site):
    page = open_page("book/chapters/claims", base=f"{site.as_uri()}/")
    astray = """() => [...document.querySelectorAll('.xc-matrix :is(td, th) *')].filter((sign) => {
      const [inner, outer] = [sign, sign.closest('td, th')].map((e) => e.getBoundingClientRect());
      const middle = (inner.left + inner.right) / 2;
      return inner.top < outer.top - 4 || inner.bottom > outer.bottom + 4
        || middle < outer.left || middle > outer.right || inner.width > outer.width + 8;
    }).map((sign) => sign.outerHTML)"""
    assert page.evaluate("document.querySelectorAll('.xc-matrix td').length") > 100
    assert page.evaluate(astray) == []
    widths = "[...document.querySelectorAll('.xc-matrix')].map((table) => table.scrollWidth)"
    assert len(set(page.evaluate(widths))) == 1  # that of a column


def test_claims_are_narrowed_and_a_link_opens_its_evidence(browser, tmp_path):
    import pandas as pd

    from xaibook import claims, claims_page

    base = {"tests": [{"metric": "insertion", "of": "a", "above": "b"}], "source": "Table 1"}
    base |= {"records": "{network}", "scales": ["photographs"], "expected": "", "section": "s"}
    listed = [
        claims.claim(base | {"id": id, "paper": paper, "chapter": chapter, "statement": id})
        for id, paper, chapter in (("up", "one", "c"), ("down", "two", "d"))
    ]
    listed[1] = replace(listed[1], records="other")
    rows = [
        {"image": i, "method": method, "insertion": value + 0.01 * i, "network": "net"}
        for i in range(4)
        for method, value in (("a", 0.5), ("b", 0.2 + 0.02 * i))
    ]
    table = pd.DataFrame(rows)
    swapped = table.assign(method=table["method"].map({"a": "b", "b": "a"}))
    book = {"chapters": ["c", "d"], "titles": {"c": "C", "d": "D"}}
    book |= {"papers": {"one": "One (2001)", "two": "Two (2002)"}}
    scales = {"photographs": claims.Scale("Photographs", ["net"])}
    figures = claims.published()
    found = claims.judged(listed, scales, book, figures, {"net": table, "other": swapped}.get)
    shown = claims_page.matrix(found).html + claims_page.folds(found, figures).html
    page = browser.new_page()
    page.goto(write_page(tmp_path / "claims.html", f"<h1>t</h1>{shown}", "claims.js"))

    def visible():
        return page.locator(".xc-matrix tbody tr:visible th").all_inner_texts()

    assert visible() == ["up", "down"]
    page.get_by_label("Verdict").select_option("contrary")
    assert visible() == ["down"]
    assert page.locator("output").inner_text() == "1 of 2 claims"
    assert page.locator("details.xc-chapter:visible").count() == 1
    page.get_by_label("Verdict").select_option("")
    page.get_by_label("Paper").select_option("one")
    assert visible() == ["up"]
    page.get_by_label("Paper").select_option("")
    page.get_by_label("Words").fill("DOWN table")
    assert visible() == ["down"]
    page.get_by_label("Words").fill("")
    evidence = page.locator("#evidence-up-photographs")
    assert not evidence.is_visible()
    page.get_by_role("link", name="Photographs: holds").click()
    evidence.wait_for()
    assert page.locator("#claim-up").get_attribute("open") is not None
    page.close()
