"""The claims: what is compared of tables made by hand, their data, and the verdicts on records."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from xaibook import claims, claims_page, verdicts
from xaibook.chapter import RECORDS
from xaibook.claims import Claim, Scale
from xaibook.verdicts import CONTRADICTED, HOLDS, NOT_TESTABLE, UNDECIDED

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
    return claims.judged([claim], scales, {}, FIGURES, read)


def verdict(claim, read, scales=TWO):
    return judge(claim, read, scales).verdicts[claim.id]


def evidence(claim, read):
    return judge(claim, read).evidence


ABOVE = table(a=[0.5, 0.6, 0.7], b=[0.1, 0.1, 0.2])
BELOW = table(a=[0.1, 0.1, 0.2], b=[0.5, 0.6, 0.7])
MIXED = table(a=[0.1, 0.6, 0.2], b=[0.5, 0.1, 0.2])


class TestRule:
    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({}, NOT_TESTABLE),
            ({"r.f0": ABOVE}, HOLDS),
            ({"r.f0": ABOVE, "r.net": ABOVE}, HOLDS),
            ({"r.f0": ABOVE, "r.net": MIXED}, HOLDS),
            ({"r.f0": ABOVE, "r.net": BELOW}, CONTRADICTED),
            ({"r.f0": ABOVE, "r.f1": BELOW}, UNDECIDED),
            ({"r.f0": MIXED}, UNDECIDED),
            ({"r.net": ABOVE[ABOVE["method"] == "a"]}, NOT_TESTABLE),
            ({"r.net": ABOVE.assign(insertion=math.nan)}, NOT_TESTABLE),
            ({"r.net": ABOVE.drop(columns="insertion")}, NOT_TESTABLE),
        ],
    )
    def test_scales_make_the_verdict(self, stored, expected):
        assert verdict(one(), stored.get) == expected

    def test_every_comparison_must_hold(self):
        second = {"metric": "insertion", "of": "a", "below": "b"}
        both = one(tests=[{"metric": "insertion", "of": "a", "above": "b"}, second])
        assert verdict(both, {"r.net": ABOVE}.get) == CONTRADICTED

    def test_what_is_no_test_is_measured_and_not_judged(self):
        claim = one(not_a_test="the wrong pictures")
        found = judge(claim, {"r.net": BELOW}.get)
        assert found.verdicts["x"] == NOT_TESTABLE
        assert found.evidence["outcome"].to_list() == [NOT_TESTABLE]
        assert found.evidence["mean"].item() < 0
        at_one = one(not_a_test={"photographs": "the wrong pictures"})
        found = judge(at_one, {"r.net": BELOW, "r.f0": ABOVE}.get)
        assert found.at["x"] == {"flowers": HOLDS, "photographs": NOT_TESTABLE}
        assert found.verdicts["x"] == HOLDS

    def test_networks_are_the_unit_of_claims_about_training(self):
        stored = {"r.f0": ABOVE, "r.f1": ABOVE}
        assert verdict(one(), stored.get) == HOLDS
        found = evidence(one(unit="network"), stored.get).iloc[0]
        assert (found["n"], found["unit"], found["networks"], found["agree"]) == (
            2,
            "network",
            2,
            2,
        )
        assert evidence(one(unit="network"), {"r.net": ABOVE}.get)["outcome"].item() == UNDECIDED

    def test_images_and_networks_are_counted_side_by_side(self):
        """Four images that agree on a mean that one of three networks does not share."""
        scales = {"flowers": Scale("Flowers", ["f0", "f1", "f2"])}
        stored = {
            f"r.f{i}": table(a=[d + 0.01, d, d + 0.01, d], b=[0.0] * 4)
            for i, d in enumerate((0.5, 0.5, -0.1))
        }
        claim = one(scales=["flowers"], not_a_test="no matter")
        found = claims.by_unit(claims.judged([claim], scales, {}, FIGURES), FIGURES, stored.get)
        row = found.iloc[0]
        assert (row["images"], row["networks"]) == (HOLDS, UNDECIDED)
        assert row["by_network"] == pytest.approx((50.5, 50.5, -9.5))

    def test_contradictions_are_corrected_within_a_chapter(self):
        """A p-value of 0.017 survives alone, and not among five comparisons."""
        weak = table(a=[0.0, 0.4, 0.0, 0.0, 0.1, 0.0], b=[0.3, 0.35, 0.5, 0.2, 0.15, 0.1])
        own = one(scales=["photographs"])
        others = [one(id=f"y{i}", scales=["flowers"]) for i in range(4)]
        stored = {"r.net": weak, "r.f0": MIXED}
        alone = claims.judged([own], TWO, {}, FIGURES, stored.get)
        many = claims.judged([own, *others], TWO, {}, FIGURES, stored.get)
        assert (alone.verdicts["x"], many.verdicts["x"]) == (CONTRADICTED, UNDECIDED)
        assert many.evidence["needed"].iloc[0] > 6
        elsewhere = [replace(other, chapter="d") for other in others]
        apart = claims.judged([own, *elsewhere], TWO, {}, FIGURES, stored.get)
        assert apart.verdicts["x"] == CONTRADICTED

    def test_a_difference_is_paired_and_an_image_counts_once(self):
        """By hand: images have differences 40 + 40, 60 + 20, 50 + 60 over two networks, halved."""
        first = table(a=[0.6, 0.8, 0.6], b=[0.2, 0.2, 0.1])
        second = table(a=[0.5, 0.3, 0.9], b=[0.1, 0.1, 0.3])
        found = evidence(one(), {"r.f0": first, "r.f1": second}.get).iloc[0]
        mean = (40 + 40 + 55) / 3
        sd = math.sqrt(sum((d - mean) ** 2 for d in (40, 40, 55)) / 2)
        assert found["mean"] == pytest.approx(mean)
        assert found["half_width"] == pytest.approx(1.96 * sd / math.sqrt(3), rel=1e-4)
        assert found["n"] == 3

    def test_means_are_of_what_both_were_measured_on(self):
        """A method with more images, or under more networks, is cut to the common ones."""
        more = table(a=[0.5, 0.7], b=[0.1, 0.2, 0.9, 0.9])
        found = evidence(one(), {"r.f0": more, "r.f1": table(b=[0.8, 0.8])}.get).iloc[0]
        assert (found["of"], found["than"]) == (pytest.approx(60), pytest.approx(15))
        assert found["of"] - found["than"] == pytest.approx(found["mean"])


class TestRecords:
    def test_gain_is_made_of_p_and_o(self):
        stored = pd.DataFrame({"image": [0, 1], "method": "a", "p": [0.5, 0.5], "o": [0.75, 0.4]})
        tests = [{"metric": "AG", "of": "a", "above": 0}]
        found = evidence(one(tests=tests), {"r.net": stored}.get).iloc[0]
        assert found["mean"] == pytest.approx((50 + 0) / 2)

    def test_seconds_are_not_per_cent(self):
        stored = table(a=[0, 0]).assign(seconds=[2.0, 4.0])
        tests = [{"metric": "seconds", "of": "a", "above": 0}]
        found = evidence(one(tests=tests), {"r.net": stored}.get).iloc[0]
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
        found = evidence(claim, {"study": pd.concat(parts)}.get)
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
        found = evidence(claim, stored.get)
        assert found["mean"].item() == pytest.approx(70)
        assert found["n"].item() == 2

    def test_the_first_records_that_hold_a_network_count(self):
        claim = one(records=["study", "r.{network}"])
        stored = {"study": BELOW.assign(network="net"), "r.net": MIXED, "r.f0": ABOVE}
        found = evidence(claim, stored.get)
        outcomes = [(row.scale, row.outcome) for row in found.itertuples()]
        assert outcomes == [("flowers", HOLDS), ("photographs", CONTRADICTED)]

    def test_filters_that_leave_two_values_are_refused(self):
        twice = pd.concat([ABOVE, ABOVE.assign(insertion=0)])
        with pytest.raises(ValueError, match="duplicate"):
            evidence(one(), {"r.net": twice}.get)

    def test_nothing_stored_is_none(self):
        assert claims.records("no.such-records") is None

    def test_a_test_has_one_relation(self):
        with pytest.raises(ValueError, match="claim x needs one of above, below, near, not_below"):
            one(tests=[{"metric": "AG", "of": "a", "above": "b", "near": "c"}])

    def test_quantities_are_written_as_the_claim_reads(self):
        alpha = one(reads="α = {}", compare="variant", where={"method": "opti-cam"})
        assert alpha.label("2") == "α = 2 (Opti-CAM)"
        assert alpha.label("2", "accuracy") == "α = 2"
        assert one(reads="{} (Grad-CAM)", compare="variant", where={"method": "grad-cam"}).label(
            "CA"
        ) == ("CA (Grad-CAM)")
        assert one().label("opti-cam") == "Opti-CAM"
        assert one(reads="α = {}").label(0) == "0"

    @pytest.mark.parametrize(
        ("test", "words"),
        [
            ({"above": "b"}, "> 0"),
            ({"above": "b", "by": 3}, "> 3"),
            ({"below": "b"}, "< 0"),
            ({"below": "b", "by": 3}, "< −3"),
            ({"above": "b", "at_most": 6}, "0 to 6"),
            ({"near": "b", "by": 2}, "within ± 2"),
            ({"not_below": "b", "by": 1}, "> −1"),
        ],
    )
    def test_a_range_in_words(self, test, words):
        assert one(tests=[{"metric": "AG", "of": "a"} | test]).tests[0].in_words() == words

    def test_units_are_those_of_the_differences(self):
        assert [claims.unit(m) for m in ("AG", "accuracy", "seconds", "MS", "spread 2")] == [
            "points",
            "points",
            "s",
            "",
            "points",
        ]
        assert claims.unit("cosine of loss") == claims.unit("roughness") == "hundredths"


class TestData:
    """What the files of the book state."""

    def test_no_verdict_has_flipped(self):
        found = claims.judge().verdicts
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

        assert verdict(claim, claims.records, SCALES) == claim.expected
        assert verdict(claim, spoilt, SCALES) == UNDECIDED

    def test_a_chapter_judges_as_the_page_does(self):
        whole, own = claims.judge(), claims.judge("vebi")
        assert own.verdicts == {claim.id: whole.verdicts[claim.id] for claim in own.claims.values()}

    def test_a_chapter_counts_each_claim_once(self):
        own = claims.judge("ca_stream")
        settles = dict.fromkeys(verdicts.VERDICTS, "more pictures")
        shown = claims_page.counted(own, "ca_stream", "few", settles, "How many.")
        counts = [int(n) for n in re.findall(r'<td class="number">(\d+)</td>', shown.html)]
        assert sum(counts) == len(own.claims)
        assert len(counts) == len(set(own.verdicts.values()))
        assert all(claim.short in shown.html for claim in own.claims.values())

    def test_no_two_comparisons_of_the_book_are_called_alike(self):
        """A row of the figure, and of the evidence, is not written over another."""
        for claim in LISTED:
            names = [claim.compared(test) for test in claim.tests]
            assert len(set(names)) == len(names)
        found = claims.judge().evidence
        tested = found[found["outcome"] != NOT_TESTABLE].drop_duplicates(["claim", "test"])
        by_id = {claim.id: claim for claim in LISTED}
        compared = [
            (by_id[row.claim].chapter, by_id[row.claim].compared(by_id[row.claim].tests[row.test]))
            for row in tested.itertuples()
        ]
        means = tested.assign(name=compared).groupby("name")["mean"].nunique()
        assert means[means > 1].index.to_list() == []

    def test_claims_about_training_count_networks(self):
        about = [c for c in LISTED if c.chapter in ("ca_stream", "interpretable_gradients")]
        assert {claim.unit for claim in about} == {"network"}

    def test_what_cannot_be_tested_says_what_it_would_need(self):
        silent = [
            claim.id
            for claim in LISTED
            if claims.judge().verdicts[claim.id] == NOT_TESTABLE and not claim.needs
        ]
        assert silent == []

    def test_every_change_of_a_verdict_is_explained(self):
        before = pd.read_csv(RECORDS / "verdicts_before.csv")
        assert set(before["claim"]) <= {claim.id for claim in LISTED}
        assert not before["claim"].duplicated().any()
        assert before["why"].str.len().min() > 5

    def test_the_time_of_records_counts_a_map_once(self):
        """Ten powers of one map take the time of one; a run without maps takes its own."""
        powers = claims.records("opti_cam.selectivity")
        once = powers[powers["variant"] == 1]["seconds"].sum() / 60
        assert claims.minutes("opti_cam.selectivity") == pytest.approx(once)
        assert claims.minutes("benchmark.drawn-boxes") > 1

    def test_what_is_undecided_says_what_would_decide_it(self):
        judged = claims.judge()
        left = claims.undecided(judged)
        assert (left["needed"] > left["n"]).all()
        assert left["minutes"].gt(0).all()
        assert not left.duplicated(["claim", "scale"]).any()
        open_at = {(i, SCALES[p].label) for i, at in judged.at.items() for p in at}
        assert {*zip(left["claim"], left["scale"], strict=True)} <= open_at

    def test_identifiers_are_unique_and_expected_verdicts_are_verdicts(self):
        assert len({claim.id for claim in LISTED}) == len(LISTED)
        assert {claim.expected for claim in LISTED} <= set(verdicts.VERDICTS)
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
        known = claims.printed(claim, FIGURES)
        assert bool(claim.tables) == (not known.empty) == (not claim.figures)
        assert not known.duplicated(["network", "metric", "name"]).any()
        for _, of_network in known.groupby("network"):
            values = of_network.set_index(["metric", "name"])["value"]
            for test in claim.tests:
                than = values[test.metric, test.than] if isinstance(test.than, str) else test.than
                printed = verdicts.Difference(values[test.metric, test.of] - than, 0.0, 1)
                assert verdicts.compare(printed, test.claimed()).outcome == HOLDS
