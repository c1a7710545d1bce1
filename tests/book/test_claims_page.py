"""The page of claims shows what the records say, and is made again when they change."""

from urllib.parse import unquote

import pytest

from driver import key, page
from driver.chapter import Chapter
from xaibook import claims

LISTED, SCALES, BOOK = claims.load()


@pytest.fixture(scope="module")
def soup(pages, site):
    return pages[site / "book" / "chapters" / "claims.html"]


def rows(soup, chapter):
    return soup.select(f"#claims-{chapter} tbody tr")


@pytest.mark.parametrize("chapter", BOOK["chapters"])
def test_every_claim_is_a_row_with_its_verdict_that_leads_to_the_chapter(soup, chapter):
    chosen = [claim for claim in LISTED if claim.chapter == chapter]
    shown = [(row.th.text, row.td.text, row.th.a["href"]) for row in rows(soup, chapter)]
    verdicts = [claims.verdict(claim, claims.examine(claim, SCALES)) for claim in chosen]
    assert shown == [
        (claim.statement, verdict, f"{chapter}.html")
        for claim, verdict in zip(chosen, verdicts, strict=True)
    ]


@pytest.mark.parametrize("chapter", BOOK["chapters"])
def test_the_claims_can_be_downloaded(soup, chapter):
    csv = unquote(soup.select_one(f"#claims-{chapter} a.xc-csv")["href"])
    assert all(claim.statement in csv for claim in LISTED if claim.chapter == chapter)


def test_the_count_is_that_of_the_claims(soup):
    counted = [int(cell.text) for cell in soup.select("#claims-count tbody td")]
    assert sum(counted) == len(LISTED)


def test_the_page_is_made_of_its_data(root, monkeypatch):
    """A changed record, claim or published figure runs the page again; another chapter's not."""
    looked_at = []
    monkeypatch.setattr(key, "file_digest", lambda path: looked_at.append(path.name) or "")
    chapter = Chapter(root, "claims")
    key.content_key(chapter, page.read(chapter.source), {})
    names = {"claims.toml", "claims.opti_cam.toml", "published.csv"}
    names |= {"benchmark.resnet18.csv.gz", "opti_cam.real.csv.gz", "claims.py"}
    assert names <= set(looked_at)
    assert "background.smoke.json" not in looked_at
