"""What a chapter says about itself."""

import json
import math
from urllib.request import urlopen

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from xaibook import chapter
from xaicore import html, plot

PUBLISHED = {
    "gain": {"value": 10.0, "spread": 0.001},
    "drop": {"value": 50.0, "spread": 0.0, "abs_tol": 2.0},
    "n": 8,
    "best": "a",
}
GOOD = {"gain": 10.0, "drop": 50.0, "n": 8, "best": "a"}


@pytest.fixture
def references(tmp_path, monkeypatch):
    monkeypatch.setattr(chapter, "RECORDS", tmp_path)
    monkeypatch.delenv(chapter.VALUES, raising=False)
    (tmp_path / "toy.smoke.json").write_text(json.dumps(PUBLISHED))
    return tmp_path


class TestCheck:
    def test_reproduced_values_are_said_to_be(self, references, capsys):
        chapter.check("toy", "smoke", {**GOOD, "gain": np.float64(10.009), "drop": 51.9})
        assert capsys.readouterr().out == "toy (smoke): all 4 published values reproduced\n"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("gain", 10.011),
            ("gain", math.nan),
            ("drop", 52.1),
            ("n", 9),
            ("n", True),
            ("best", "b"),
        ],
    )
    def test_a_value_outside_its_tolerance_is_named(self, references, name, value):
        with pytest.raises(AssertionError, match=rf"1 values differ\n  {name}: .* published"):
            chapter.check("toy", "smoke", {**GOOD, name: value})

    def test_every_difference_is_listed(self, references):
        with pytest.raises(AssertionError) as error:
            chapter.check("toy", "smoke", {"gain": 0.0, "n": 8, "best": "a", "new": 1})
        message = str(error.value)
        assert "3 values differ" in message
        assert "gain: 0.0 here, 10.0 ± 0.01 published" in message
        assert "drop: missing here" in message
        assert "new: never published" in message

    def test_a_profile_without_reference_is_said_to_be_unchecked(self, references, capsys):
        chapter.check("toy", "paper", GOOD)
        assert "nothing was compared" in capsys.readouterr().out

    def test_values_are_gathered_in_a_folder_instead(self, references, monkeypatch, capsys):
        monkeypatch.setenv(chapter.VALUES, str(references / "gathered"))
        chapter.check("toy", "smoke", {"gain": np.float32(2.5), "n": np.int64(3)})
        stored = (references / "gathered" / "toy.smoke.json").read_text()
        assert json.loads(stored) == {"gain": 2.5, "n": 3}
        assert json.loads((references / "toy.smoke.json").read_text()) == PUBLISHED
        assert "2 values gathered" in capsys.readouterr().out

    def test_a_value_that_is_no_number_is_not_gathered(self, references, monkeypatch):
        monkeypatch.setenv(chapter.VALUES, str(references / "gathered"))
        with pytest.raises(ValueError, match="nan"):
            chapter.check("toy", "smoke", {"gain": math.nan})


class TestTable:
    frame = pd.DataFrame({"method": ["<A>", "B"], "gain": [1.25, math.nan], "n": [3, 4]})

    def soup(self, *arguments, **options):
        return BeautifulSoup(html.table(*arguments, **options).html, "html.parser")

    def test_headers_have_a_scope_and_text(self):
        soup = self.soup(self.frame, "toy", "A table.")
        assert soup.caption.text == "A table."
        assert [th.text for th in soup.select("thead th[scope=col]")] == ["method", "gain", "n"]
        assert [th.text for th in soup.select("tbody th[scope=row]")] == ["<A>", "B"]

    def test_rows_lead_where_they_should(self):
        soup = self.soup(self.frame, "toy", "A table.", ".2f", ["a.html", "b.html#<"])
        links = [(th.a.text, th.a["href"]) for th in soup.select("tbody th")]
        assert links == [("<A>", "a.html"), ("B", "b.html#<")]
        assert "xc-prose" in soup.div["class"]
        with pytest.raises(ValueError, match="shorter"):
            self.soup(self.frame, "toy", "A table.", ".2f", ["a.html"])

    def test_numbers_are_formatted_and_marked(self):
        soup = self.soup(self.frame, "toy", "A table.", {"gain": ".1f"})
        assert [td.text for td in soup.select("td.number")] == ["1.2", "3", "–", "4"]

    def test_the_csv_holds_the_values(self):
        link = self.soup(self.frame, "toy", "A table.").find("a")
        assert link["download"] == "toy.csv"
        with urlopen(link["href"]) as csv:
            back = pd.read_csv(csv)
        pd.testing.assert_frame_equal(back, self.frame)

    def test_the_best_is_sought_among_the_rows_that_compete(self):
        frame = pd.DataFrame({"method": ["truth", "one", "other"], "PC ↑": [9.0, 3.0, 2.0]})
        told = [False, True, True]
        soup = self.soup(frame, "toy", "A table.", ".1f", compact=True, rivals=told)
        assert [b.text for b in soup.select("b")] == ["3.0"]

    def test_a_compact_table_marks_the_best_of_each_group_and_folds_half_widths(self):
        rows = pd.MultiIndex.from_product([["x", "y"], ["a", "b"]], names=["network", "method"])
        columns = {"AD ↓": [1.0, 2.0, 8.0, 7.0], "± AD": [0.1, math.nan, 0.3, 0.4]}
        frame = pd.DataFrame(columns | {"AG ↑": [1.0, 1.0, math.nan, 3.0], "n": 4}, index=rows)
        soup = self.soup(frame, "toy", "A table.", ".1f", compact=True)
        assert [th.text for th in soup.select("thead th")] == [*rows.names, "AD ↓", "AG ↑", "n"]
        assert [td.text.replace("\xa0", " ") for td in soup.select("td.number")[::3]] == [
            "1.0 ± 0.1",
            "2.0",
            "8.0 ± 0.3",
            "7.0 ± 0.4",
        ]
        assert [b.text.replace("\xa0", " ") for b in soup.select("td b")] == [
            "1.0 ± 0.1",
            "1.0",
            "1.0",
            "7.0 ± 0.4",
            "3.0",
        ]
        with urlopen(soup.find("a")["href"]) as csv:
            pd.testing.assert_frame_equal(pd.read_csv(csv), frame.reset_index(), check_dtype=False)

    def test_a_named_index_becomes_the_row_headers(self):
        soup = self.soup(self.frame.set_index("method"), "toy", "A table.")
        assert [th.text for th in soup.select("tbody th")] == ["<A>", "B"]

    def test_plain_text_stands_in_for_html(self):
        assert repr(html.table(self.frame, "toy", "A table.")).startswith("A table.\n")

    @pytest.mark.parametrize(
        ("frame", "message"),
        [
            (frame.set_index(frame["method"].to_numpy()), "index.name"),
            (frame.rename(columns={"n": " "}), "non-empty header"),
            (pd.concat({"a": frame}, axis=1), "flatten"),
            (frame.iloc[:0], "empty"),
        ],
    )
    def test_a_table_that_cannot_be_read_aloud_is_refused(self, frame, message):
        with pytest.raises(ValueError, match=message):
            html.table(frame, "toy", "A table.")


def test_a_picture_carries_its_caption_and_its_alt_text():
    shown = html.picture(plt.figure(figsize=(1, 1)), "Below <it>.", 'Shows "it"')
    soup = BeautifulSoup(shown.html, "html.parser")
    assert soup.img["alt"] == repr(shown) == 'Shows "it"'
    assert soup.img["src"].startswith("data:image/png;base64,")
    assert "--legible" in soup.select_one(".xc-scrolled > img")["style"]
    assert soup.figcaption.text == "Below <it>."


def test_the_least_width_of_a_figure_is_that_of_its_smallest_type():
    figure = plt.figure(figsize=(4, 3))
    figure.text(0, 0, "small", size=6)
    figure.text(1, 1, "large", size=12)
    width = figure.get_tightbbox().width
    assert html.least_width(figure) == math.ceil(html.LEGIBLE * 72 * width / 6)
    plt.close(figure)
    assert html.least_width(plt.figure()) == 0
    plt.close("all")


def test_a_figure_of_pictures_is_embedded_as_webp():
    figure = plot.grid({"": [np.zeros((8, 8, 3)), np.ones((8, 8))]})
    shown = html.picture(figure, "Two pictures.", "Black and white")
    assert '<img src="data:image/webp;base64,' in shown.html


class TestSlider:
    def test_frames_share_one_input(self):
        figures = [plt.figure(figsize=(1, 1)) for _ in range(3)]
        shown = chapter.slider(figures, [0, 10, 20], "step", "A <curve>", start=1)
        soup = BeautifulSoup(shown.html, "html.parser")
        images = soup.find_all("img")
        assert [image.has_attr("hidden") for image in images] == [True, False, True]
        assert images[0]["alt"] == "A <curve> (step: 0)"
        assert all(image["src"].startswith("data:image/png;base64,") for image in images)
        assert soup.input["max"] == "2"
        assert soup.input["value"] == "1"
        assert soup.input["aria-valuetext"] == soup.output.text == "10"

    def test_the_figures_are_closed_and_drawn_alike_twice(self):
        before = plt.get_fignums()
        first, second = (
            chapter.slider([plt.figure(figsize=(1, 1))], [0], "step", "alt").html for _ in range(2)
        )
        assert plt.get_fignums() == before
        assert first == second

    def test_labels_must_match_figures(self):
        with pytest.raises(ValueError, match="one label per figure"):
            chapter.slider([], [], "step", "alt")
        with pytest.raises(ValueError, match="start"):
            chapter.slider([plt.figure()], [0], "step", "alt", start=1)
        plt.close("all")


class TestGlue:
    @pytest.fixture
    def shell(self):
        yield InteractiveShell.instance()
        InteractiveShell.clear_instance()

    def test_the_record_is_the_one_of_myst_nb(self, shell):
        myst_nb = pytest.importorskip("myst_nb")
        with capture_output() as theirs:
            myst_nb.glue("x", 0.25, display=False)
        with capture_output() as ours:
            chapter.glue("x", np.float64(0.25))
        assert ours.outputs[0].data == theirs.outputs[0].data
        assert ours.outputs[0].metadata == theirs.outputs[0].metadata

    def test_a_format_is_what_the_prose_shows(self, shell):
        with capture_output() as shown:
            chapter.glue("x", np.float64(0.1), ".2f")
        (record,) = shown.outputs[0].data.values()
        variables = pytest.importorskip("myst_nb.core.variables")
        assert variables.format_plain_text(record, "") == "0.10"

    def test_a_negative_number_has_a_minus_and_a_word_its_hyphen(self, shell):
        with capture_output() as shown:
            chapter.glue("x", np.float64(-0.1), ".2f")
            chapter.glue("y", "Grad-CAM", "s")
        texts = [text for output in shown.outputs for text in output.data.values()]
        assert texts == ["'−0.10'", "'Grad-CAM'"]

    @pytest.mark.parametrize(
        ("value", "fmt", "rounding", "said"),
        [
            (89.8, ".0f", "down", "89"),
            (27.4, ".0f", "up", "28"),
            (0.1234, ".1%", "up", "12.4%"),
            (0.1 + 0.2, ".1f", "up", "0.3"),  # what float64 adds is no reason to round up
            (-1.25, ".1f", "down", "−1.3"),
            (2.0, "+.2f", "down", "+2.00"),
        ],
    )
    def test_a_bound_is_rounded_outward(self, shell, value, fmt, rounding, said):
        with capture_output() as shown:
            chapter.glue("x", np.float64(value), fmt, rounding=rounding)
        (text,) = shown.outputs[0].data.values()
        assert text == repr(said)

    @pytest.mark.parametrize(("fmt", "rounding"), [(".1f", "outward"), (".3g", "up"), ("s", "up")])
    def test_a_bound_that_cannot_be_rounded_is_refused(self, shell, fmt, rounding):
        with pytest.raises(ValueError, match="rounding is 'nearest', 'down' or 'up'"):
            chapter.glue("x", 1.5, fmt, rounding=rounding)

    def test_a_script_is_told_to_print(self):
        with pytest.raises(RuntimeError, match="in a notebook"):
            chapter.glue("x", 1)
