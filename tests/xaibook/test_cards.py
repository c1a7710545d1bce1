"""The cards of measures: one each, with what was measured."""

from bs4 import BeautifulSoup

from xaibook.cards import CARDS, cards
from xaicore.metrics.measures import MEASURES


def test_every_measure_has_a_card():
    assert list(CARDS)[: len(MEASURES)] == list(MEASURES)


def test_a_card_says_what_was_measured_and_which_way_is_better():
    soup = BeautifulSoup(cards({"AD": {"floor": "noise, 80.1 <b>"}}).html, "html.parser")
    card = soup.select_one("#measure-AD")
    assert card.p.text == "AD ↓"
    facts = {row.dt.text: row.dd.text for row in card.select("dl div")}
    assert facts["floor"] == "noise, 80.1 <b>"
    assert list(facts)[-1] == "can be won by"
    assert "floor" not in soup.select_one("#measure-AG").text
    assert len(soup.select(".xc-card")) == len(CARDS)


def test_what_depends_on_no_network_needs_no_arrow_from_the_table():
    assert BeautifulSoup(cards({}).html, "html.parser").select_one("#measure-PC").p.text == "PC ↑"
