"""The claims: their rule on tables made by hand, their data, and the verdicts on stored records."""

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaibook import claims
from xaibook.chapter import RECORDS
from xaibook.claims import Claim, Scale, Test

LISTED, SCALES, BOOK = claims.load()
FIGURES = claims.published()
TWO = {"flowers": Scale("Flowers", ["f0", "f1"]), "photographs": Scale("Photographs", ["net"])}


def one(**entry):
    """Return a claim that compares insertion, which records hold as it is."""
    test = {"metric": "insertion", "of": "a", "above": "b"}
    rest = {"statement": "", "paper": "p", "source": "", "chapter": "c", "expected": ""}
    base = {"id": "x", "tests": [test], "records": "r.{network}", "scales": list(TWO)}
    return claims.claim(rest | base | entry)


def table(**values):
    """Return records of images 0, 1, …, from the insertion of each method, in shares."""
    rows = [
        {"image": image, "method": method, "insertion": value}
        for method, found in values.items()
        for image, value in enumerate(found)
    ]
    return pd.DataFrame(rows)


def judge(claim, read, scales=TWO):
    return claims.verdict(claim, claims.examine(claim, scales, read))


ABOVE = table(a=[0.5, 0.6, 0.7], b=[0.1, 0.1, 0.2])
BELOW = table(a=[0.1, 0.1, 0.2], b=[0.5, 0.6, 0.7])
MIXED = table(a=[0.1, 0.6, 0.2], b=[0.5, 0.1, 0.2])


class TestRule:
    @pytest.mark.parametrize(
        ("relation", "by", "mean", "outcome"),
        [
            ("above", 0, 2, claims.HOLDS),
            ("above", 0, 1, claims.UNDECIDED),
            ("above", 0, 0, claims.UNDECIDED),
            ("above", 0, -1, claims.CONTRADICTED),
            ("above", 3, 2, claims.CONTRADICTED),
            ("above", 3, 5, claims.HOLDS),
            ("below", 0, -2, claims.HOLDS),
            ("below", 3, -3, claims.UNDECIDED),
            ("below", 3, 1, claims.CONTRADICTED),
            ("near", 3, -1, claims.HOLDS),
            ("near", 3, 2, claims.UNDECIDED),
            ("near", 3, 5, claims.CONTRADICTED),
            ("near", 0.5, 0, claims.UNDECIDED),
        ],
    )
    def test_an_interval_of_half_width_one(self, relation, by, mean, outcome):
        assert Test("AG", "a", relation, "b", by).outcome(mean, 1) == outcome

    def test_no_interval_decides_nothing(self):
        assert Test("AG", "a", "above", "b").outcome(5, math.nan) == claims.UNDECIDED

    @given(st.floats(-50, 50), st.floats(0.1, 20), st.floats(0, 20))
    def test_above_and_below_are_mirror_images(self, mean, half_width, by):
        above = Test("AG", "a", "above", "b", by).outcome(mean, half_width)
        assert above == Test("AG", "b", "below", "a", by).outcome(-mean, half_width)

    @pytest.mark.parametrize(
        ("stored", "verdict"),
        [
            ({}, claims.NOT_RUN),
            ({"r.f0": ABOVE}, claims.REPRODUCED),
            ({"r.f0": ABOVE, "r.net": ABOVE}, claims.REPRODUCED),
            ({"r.f0": ABOVE, "r.net": MIXED}, claims.PARTLY),
            ({"r.f0": ABOVE, "r.net": BELOW}, claims.PARTLY),
            ({"r.f0": MIXED, "r.net": BELOW}, claims.NOT_REPRODUCED),
            ({"r.net": ABOVE[ABOVE["method"] == "a"]}, claims.NOT_RUN),
            ({"r.net": ABOVE.assign(insertion=math.nan)}, claims.NOT_RUN),
            ({"r.net": ABOVE.drop(columns="insertion")}, claims.NOT_RUN),
        ],
    )
    def test_scales_make_the_verdict(self, stored, verdict):
        assert judge(one(), stored.get) == verdict

    def test_every_comparison_must_hold(self):
        second = {"metric": "insertion", "of": "a", "above": "b", "by": 60}
        both = one(tests=[{"metric": "insertion", "of": "a", "above": "b"}, second])
        assert judge(both, {"r.net": ABOVE}.get) == claims.NOT_REPRODUCED

    def test_what_is_missing_is_named_only_while_there_are_no_records(self):
        assert judge(one(needs="a telescope"), {}.get) == claims.NEEDS_MORE
        assert judge(one(needs="a telescope"), {"r.net": ABOVE}.get) == claims.REPRODUCED

    def test_a_difference_is_paired_and_an_image_counts_once(self):
        """By hand: images have differences 40 + 40, 60 + 20, 50 + 60 over two networks, halved."""
        first = table(a=[0.6, 0.8, 0.6], b=[0.2, 0.2, 0.1])
        second = table(a=[0.5, 0.3, 0.9], b=[0.1, 0.1, 0.3])
        found = claims.examine(one(), TWO, {"r.f0": first, "r.f1": second}.get).iloc[0]
        mean = (40 + 40 + 55) / 3
        sd = math.sqrt(sum((d - mean) ** 2 for d in (40, 40, 55)) / 2)
        assert found["mean"] == pytest.approx(mean)
        assert found["half_width"] == pytest.approx(1.96 * sd / math.sqrt(3))
        assert found["n"] == 3


class TestRecords:
    def test_gain_is_made_of_p_and_o(self):
        stored = pd.DataFrame({"image": [0, 1], "method": "a", "p": [0.5, 0.5], "o": [0.75, 0.4]})
        tests = [{"metric": "AG", "of": "a", "above": 0}]
        found = claims.examine(one(tests=tests), TWO, {"r.net": stored}.get).iloc[0]
        assert found["mean"] == pytest.approx((50 + 0) / 2)

    def test_seconds_are_not_per_cent(self):
        stored = table(a=[0, 0]).assign(seconds=[2.0, 4.0])
        tests = [{"metric": "seconds", "of": "a", "above": 0}]
        found = claims.examine(one(tests=tests), TWO, {"r.net": stored}.get).iloc[0]
        assert found["mean"] == 3

    def test_networks_variants_and_filters_are_columns(self):
        values = table(a=[0.9, 0.8], b=[0.1, 0.2]).rename(columns={"method": "variant"})
        values["variant"] = values["variant"].map({"a": 1.0, "b": 0.5})
        wrong = values.assign(variant=values["variant"].map({1.0: 0.5, 0.5: 1.0}))
        parts = [
            values.assign(network="net", method="opti-cam"),
            wrong.assign(network="net", method="grad-cam"),
            wrong.assign(network="other", method="opti-cam"),
        ]
        tests = [{"metric": "insertion", "of": "top", "above": "0.5"}]
        claim = one(
            tests=tests,
            records="study",
            compare="variant",
            where={"method": "opti-cam", "baseline": "black"},
            names={"top": {"photographs": "1"}},
        )
        found = claims.examine(claim, TWO, {"study": pd.concat(parts)}.get)
        assert list(found["scale"]) == ["photographs"]
        assert found["mean"].item() == pytest.approx(70)

    def test_two_sets_of_records_are_compared(self):
        claim = one(
            records={"a": "r.{network}", "b": "other"}, compare="records", where={"method": "m"}
        )
        stored = {
            "r.net": table(m=[0.9, 0.8, 0.7]),
            "other": table(m=[0.1, 0.2], n=[0.3, 0.3]).assign(network="net"),
        }
        found = claims.examine(claim, TWO, stored.get)
        assert found["mean"].item() == pytest.approx(70)
        assert found["n"].item() == 2

    def test_the_first_records_that_hold_a_network_count(self):
        claim = one(records=["study", "r.{network}"])
        stored = {"study": BELOW.assign(network="net"), "r.net": MIXED, "r.f0": ABOVE}
        found = claims.examine(claim, TWO, stored.get)
        outcomes = [(row.scale, row.outcome) for row in found.itertuples()]
        assert outcomes == [("flowers", claims.HOLDS), ("photographs", claims.CONTRADICTED)]

    def test_filters_that_leave_two_values_are_refused(self):
        twice = pd.concat([ABOVE, ABOVE.assign(insertion=0)])
        with pytest.raises(ValueError, match="duplicate"):
            claims.examine(one(), TWO, {"r.net": twice}.get)

    def test_nothing_stored_is_none(self):
        assert claims.records("no.such-records") is None

    def test_a_test_has_one_relation(self):
        with pytest.raises(ValueError, match="claim x needs one of above, below and near"):
            one(tests=[{"metric": "AG", "of": "a", "above": "b", "near": "c"}])

    def test_a_row_says_what_was_measured(self):
        claim = one(figures="In words.", note="Beware.", source="Table 9")
        evidence = claims.examine(claim, TWO, {}.get)
        row = claims.row(claim, evidence, TWO, FIGURES, "Someone")
        assert row["verdict"] == claims.NOT_RUN
        assert row["measured here"] == "insertion of a, b\nBeware."
        assert row["published"] == "Someone, Table 9\nIn words."
        words = claims.measured_in_words(claim, TWO, {"r.net": ABOVE}.get)
        assert [w.replace("\xa0", " ") for w in words] == [
            "Photographs (n = 3): insertion 60.0 ± 11.3, 13.3 ± 6.5"
        ]
        half = ABOVE[ABOVE["method"] == "a"]
        assert claims.measured_in_words(claim, TWO, {"r.net": half}.get) == []

    def test_quantities_are_written_as_the_claim_reads(self):
        assert one(reads="α = {}").label("2") == "α = 2"
        assert one().label("opti-cam") == "Opti-CAM"
        assert one(reads="α = {}").label(0) == "0"


class TestData:
    """What the files of the book state."""

    def test_no_verdict_has_flipped(self):
        found = {c.id: claims.verdict(c, claims.examine(c, SCALES)) for c in LISTED}
        flipped = [
            f"{claim.id}: {found[claim.id]} now, {claim.expected} at the last look"
            for claim in LISTED
            if found[claim.id] != claim.expected
        ]
        assert flipped == []

    def test_a_changed_record_flips_a_verdict(self):
        """The test above can fail: without its gain on any image, Opti-CAM's order is gone."""
        claim = next(c for c in LISTED if c.id == "drop-order")

        def spoilt(name):
            table = claims.records(name)
            return None if table is None else table.assign(o=table["p"])

        assert judge(claim, claims.records, SCALES) == claim.expected
        assert judge(claim, spoilt, SCALES) == claims.NOT_REPRODUCED

    def test_identifiers_are_unique_and_expected_verdicts_are_verdicts(self):
        assert len({claim.id for claim in LISTED}) == len(LISTED)
        assert {claim.expected for claim in LISTED} <= set(claims.VERDICTS)
        assert len(LISTED) > 40

    def test_every_file_and_every_scale_is_in_the_book(self):
        files = {path.name.split(".")[1] for path in RECORDS.glob("claims.*.toml")}
        assert files == set(BOOK["chapters"]) == set(BOOK["titles"])
        assert {place for claim in LISTED for place in claim.scales} == set(SCALES)

    def test_papers_are_in_the_bibliography_and_chapters_are_notebooks(self, root: Path):
        bibliography = (root / "book" / "references.bib").read_text(encoding="utf-8")
        papers = {claim.paper for claim in LISTED} | set(FIGURES["paper"])
        assert papers == set(BOOK["papers"])
        assert all(f"{{{paper}," in bibliography for paper in papers)
        assert all((root / "notebooks" / f"{c.chapter}.ipynb").is_file() for c in LISTED)

    def test_published_figures_are_named_once(self):
        assert not FIGURES.duplicated([c for c in FIGURES if c != "value"]).any()
        assert FIGURES["value"].notna().all()
        opti_cam = FIGURES.query("paper == 'zhang2024opticam' and table == '1'")
        gain = opti_cam.query("network == 'ResNet-50' and metric == 'AG'")
        values = gain.set_index("method")["value"]
        assert values[["opti-cam", "score-cam", "grad-cam"]].to_list() == [68.8, 26.6, 17.6]

    @pytest.mark.parametrize("claim", LISTED, ids=lambda claim: claim.id)
    def test_the_paper_says_so(self, claim: Claim):
        """Each comparison holds of the published figures of each network that the claim names."""
        printed = claims.printed(claim, FIGURES)
        assert bool(claim.tables) == (not printed.empty) == (not claim.figures)
        assert not printed.duplicated(["network", "metric", "name"]).any()
        for _, of_network in printed.groupby("network"):
            values = of_network.set_index(["metric", "name"])["value"]
            for test in claim.tests:
                than = values[test.metric, test.than] if isinstance(test.than, str) else test.than
                assert test.outcome(values[test.metric, test.of] - than, 0) == claims.HOLDS


def test_a_figure_in_its_own_unit_has_the_digits_of_its_interval() -> None:
    shown = [
        claims._interval({"mean": mean, "half_width": half_width}, metric)
        for mean, half_width, metric in (
            (0.00215, 0.0000838, "seconds"),
            (22.4, 2.5, "seconds"),
            (812.0, 140.0, "seconds"),
            (1.0, 0.0, "seconds"),
            (-3.14, 0.25, "AG"),
        )
    ]
    plain = [text.replace("\N{NO-BREAK SPACE}", " ") for text in shown]
    assert plain == ["0.002150 ± 0.000084", "22.4 ± 2.5", "812 ± 140", "1.0 ± 0.0", "−3.1 ± 0.2"]
