"""The page of claims shows what the records say, and is made again when they change."""

from dataclasses import replace
from io import StringIO
from urllib.parse import unquote

import pandas as pd
import pytest

from driver import key, page
from driver.chapter import Chapter
from xaibook import claims, claims_page, verdicts

BY_CHAPTER = ("opti_cam", "ca_stream", "interpretable_gradients", "vebi")
"""Chapters that show their claims."""


@pytest.fixture(scope="module")
def judged():
    return claims.judge()


@pytest.fixture(scope="module")
def soup(pages, site):
    return pages[site / "book" / "chapters" / "claims.html"]


def test_every_claim_is_a_row_of_the_matrix_with_its_verdicts(soup, judged):
    rows = soup.select(".xc-matrix tbody tr")
    assert [row.th.a["href"] for row in rows] == [f"#claim-{id}" for id in judged.claims]
    for row, claim in zip(rows, judged.claims.values(), strict=True):
        said = [link["aria-label"] for link in row.select("td a")]
        places = {judged.scales[p].label: v for p, v in judged.at[claim.id].items()}
        assert said[0] == f"all scales: {judged.verdicts[claim.id]}"
        assert sorted(said[1:]) == sorted(f"{place}: {v}" for place, v in places.items())


def test_a_sign_is_of_one_verdict_and_is_not_read_aloud(soup):
    assert len(set(claims_page.SIGNS.values())) == len(verdicts.VERDICTS)
    for link in soup.select(".xc-matrix td a"):
        word = link["aria-label"].partition(": ")[2]
        assert link.text == claims_page.SIGNS[word]
        assert link.span["aria-hidden"] == "true"
        assert link.span["class"] == [f"xc-{claims_page.KINDS[word]}"]


def test_matrix_claim_evidence_and_chapter_lead_to_each_other(soup, judged):
    ids = {element["id"] for element in soup.select("[id]")}
    assert {link["href"][1:] for link in soup.select(".xc-matrix a")} <= ids
    for claim in judged.claims.values():
        links = [link["href"] for link in soup.select(f"#claim-{claim.id} a")]
        assert links == [claim.address, "#claims-matrix"]


@pytest.mark.parametrize(
    ("section", "address"),
    [("", "vebi.html"), ("sec:a", "vebi.html#sec:a"), ("tables#sec:a", "tables.html#sec:a")],
)
def test_a_claim_is_measured_on_its_chapter_or_on_another_page(judged, section, address):
    claim = replace(judged.of("vebi")[0], section=section)
    assert claim.address == address


@pytest.mark.parametrize("chapter", BY_CHAPTER)
def test_a_chapter_and_the_page_say_the_same(pages, chapter, judged):
    names = (f"{chapter}.html", f"{chapter}_tables.html")
    shown = [page for path, page in pages.items() if path.name in names]
    links = [link for page in shown for link in page.select('a[href^="claims.html#claim-"]')]
    rows = {link["href"].partition("#claim-")[2]: link.find_parent("tr") for link in links}
    said = {id: row.td.text for id, row in rows.items()}
    own = {claim.id: judged.verdicts[claim.id] for claim in judged.of(chapter)}
    assert said == {id: claims_page.in_words(own[id]) for id in said}
    assert {id for id, verdict in own.items() if verdict != verdicts.HOLDS} <= set(said)


def test_the_evidence_can_be_downloaded_with_published_values_as_numbers(soup, judged):
    link = soup.select_one("a#claims-evidence")["href"]
    frame = pd.read_csv(StringIO(unquote(link.partition(",")[2])))
    assert set(frame["claim"]) == set(judged.claims)
    assert frame["published difference"].dtype == frame["difference"].dtype == float
    row = frame.query("claim == 'gain-order' and first == 'score-cam' and scale == 'resnet18'")
    row = row[row["published network"] == "ResNet-50"].iloc[0]
    assert (row["published first"], row["published second"]) == (26.6, 17.6)
    assert row["first mean"] - row["second mean"] == pytest.approx(row["difference"], abs=1e-3)


def test_the_count_is_that_of_the_claims(soup, judged):
    counted = [int(cell.text) for cell in soup.select("#claims-count tbody td")]
    assert sum(counted) == len(judged.claims)


def test_the_end_does_not_say_that_claims_were_reproduced(soup):
    assert "published values reproduced" not in soup.text


def test_the_page_is_made_of_its_data(root, monkeypatch):
    """A changed record, claim or published figure runs the page again; another chapter's not."""
    looked_at = []
    monkeypatch.setattr(key, "file_digest", lambda path: looked_at.append(path.name) or "")
    chapter = Chapter(root, "claims")
    key.content_key(chapter, page.read(chapter.source), {})
    names = {"claims.toml", "claims.opti_cam.toml", "published.csv", "verdicts_before.csv"}
    names |= {"benchmark.resnet18.csv.gz", "opti_cam.real.csv.gz"}
    names |= {"claims.py", "verdicts.py", "claims_page.py"}
    assert names <= set(looked_at)
    assert "background.smoke.json" not in looked_at
