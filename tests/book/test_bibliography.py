"""The list of references: each can be followed, and no two citations read alike."""

from collections import Counter

from pybtex.database import parse_file

NOWHERE = {
    "torres2024thesis": "no address of it is known to us",
    "bollens2019shape": "no address of it is known to us",
}
"""Entries without a link, and why."""


def _entries(root):
    return parse_file(str(root / "book" / "references.bib")).entries


def test_every_entry_has_an_address(root):
    without = {
        key for key, e in _entries(root).items() if not {"doi", "url"} & {*map(str.lower, e.fields)}
    }
    assert without == set(NOWHERE)


def test_an_address_is_in_the_field_that_becomes_a_link(root):
    for key, entry in _entries(root).items():
        assert entry.fields.get("doi", "10.").startswith("10."), key
        assert entry.fields.get("url", "https://").startswith("https://"), key
        assert "arXiv:" not in str(dict(entry.fields)), key


def test_articles_have_volume_and_pages_and_all_their_authors(root):
    for key, entry in _entries(root).items():
        if entry.type == "article" and "arXiv" not in entry.fields.get("journal", ""):
            named = {"volume", "pages"} <= set(entry.fields)
            assert named or entry.fields["journal"] == "arXiv preprint", key
        people = [person.last_names for person in entry.persons["author"]]
        assert ["others"] not in people, key


def test_no_two_citations_read_alike(root):
    labels = Counter(
        (e.persons["author"][0].last_names[0], e.fields["year"], e.fields.get("nickname", ""))
        for e in _entries(root).values()
        if len(e.persons["author"]) > 1
    )
    assert [label for label, count in labels.items() if count > 1] == []
