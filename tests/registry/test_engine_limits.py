"""Limits: the published ones, groups, exemptions, lots, and what more or less of everything does."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.limits import (
    Holder,
    HoldingUse,
    OffsetLimits,
    bounded_award,
    contradictions,
    counted,
    cure_by,
    future_holding_uses,
    group_purchase_limits,
    holding_limit,
    holding_use,
    offset_limits,
    purchase_limit,
    receipt_refusal,
    transfer_limit,
    transfer_refusal,
    usable_offsets,
)
from registry.engine.policy import HoldingLimit, LimitRule, OffsetQuota
from registry.engine.refusals import Refusal

CALIFORNIA = HoldingLimit(p1=Decimal("0.1"), base=25_000_000, p2=Decimal("0.025"))
CA_PURCHASES = LimitRule(
    purchase={"covered": Decimal("0.15"), "utility": Decimal("0.40"), "other": Decimal("0.04")}, lot=1_000
)
CA_2021 = OffsetQuota(Decimal("0.04"), {"out_of_state": Decimal("0.02")})
CA_2026 = OffsetQuota(Decimal("0.06"), {"out_of_state": Decimal("0.03")})


@pytest.mark.parametrize(
    ("cap", "limit"),
    [
        # 5,945,000 is the limit published for 2013. It is that of a cap of
        # (5,945,000 - 2,500,000) / 0.025 + 25,000,000 = 162,800,000 permits [CA-HL].
        (162_800_000, 5_945_000),
        # The budgets of 2021 to 2031 [CA-95841].
        (320_800_000, 9_895_000),
        (307_500_000, 9_562_500),
        (200_500_000, 6_887_500),
        (193_800_000, 6_720_000),
        # At the base, just around it, and below, where the plain formula would allow more than a tenth.
        (25_000_000, 2_500_000),
        (25_000_039, 2_500_000),
        (25_000_040, 2_500_001),
        (24_999_999, 2_499_999),
        (10_000_000, 1_000_000),
        (9, 0),
        (0, 0),
    ],
)
def test_the_holding_limit_follows_from_the_cap(cap: int, limit: int) -> None:
    assert holding_limit(CALIFORNIA, cap) == limit


@pytest.mark.parametrize(
    ("total", "in_compliance", "exemption", "found"),
    [(100, 0, 50, 100), (100, 30, 50, 70), (100, 60, 50, 50), (100, 100, 100, 0), (100, 100, 0, 100), (0, 0, 9, 0)],
)
def test_permits_kept_for_the_obligation_do_not_count(
    total: int, in_compliance: int, exemption: int, found: int
) -> None:
    assert counted(total, in_compliance, exemption) == found


SMALL = HoldingLimit(p1=Decimal("0.1"), base=1_000, p2=Decimal("0.05"))


@pytest.mark.parametrize(
    ("members", "use", "headroom", "excess"),
    [
        ([], 0, 150, 0),
        ([Holder({2027: 100})], 100, 50, 0),
        ([Holder({2027: 100}), Holder({2027: 100})], 200, 0, 50),
        ([Holder({2026: 60, 2027: 60, None: 30})], 150, 0, 0),
        ([Holder({2027: 100, 2028: 500})], 100, 50, 0),  # future vintages have their own limits
        ([Holder({2027: 200}, in_compliance=80, obligation=70)], 130, 20, 0),
        ([Holder({2027: 200}, in_compliance=80, obligation=90)], 120, 30, 0),
        ([Holder({2027: 50}, 50, 0), Holder({2027: 50}, 0, 50)], 100, 50, 0),  # nobody lends an exemption
        ([Holder({2027: 10, 2028: 90}, in_compliance=100, obligation=100)], 0, 150, 0),
    ],
)
def test_a_group_holds_together(members: list[Holder], use: int, headroom: int, excess: int) -> None:
    found = holding_use(SMALL, 2_000, members, 2027)

    assert (found.counted, found.headroom, found.excess) == (use, headroom, excess)


def test_a_rule_without_exemption_counts_everything() -> None:
    member = Holder({2027: 200}, in_compliance=80, obligation=70)

    assert holding_use(replace(SMALL, exemption=False), 2_000, [member], 2027).counted == 200


def test_each_future_vintage_has_the_limit_of_its_own_cap() -> None:
    members = [Holder({2027: 999, 2028: 40, 2029: 10}), Holder({2028: 45})]

    found = future_holding_uses(SMALL, {2027: 2_000, 2028: 1_000, 2029: 1_400}, members, 2027)

    assert found == {2028: HoldingUse(100, 85), 2029: HoldingUse(120, 10)}


@pytest.mark.parametrize(("quantity", "is_refused"), [(0, False), (50, False), (51, True)])
def test_a_receipt_above_the_limit_is_refused_with_what_is_left(quantity: int, is_refused: bool) -> None:
    refusal = receipt_refusal(HoldingUse(150, 100), quantity)

    assert (refusal is not None) is is_refused
    if refusal:
        assert refusal.code == "holding_limit_exceeded"
        assert "50 more permits" in refusal.sentence


def test_a_group_above_its_limit_has_five_working_days() -> None:
    new_year = date(2027, 1, 1)

    found = cure_by(new_year, LimitRule(), ZoneInfo("America/Los_Angeles"), {new_year})

    assert found == datetime(2027, 1, 9, 8, tzinfo=UTC)  # the end of Friday 8 January


@pytest.mark.parametrize(
    ("participant", "offered", "limit"),
    [
        ("covered", 23_126_110, 3_468_000),  # 15 % is 3,468,916.5
        ("utility", 23_126_110, 9_250_000),
        ("other", 23_126_110, 925_000),
        ("other", 24_000, 0),
        ("other", 25_000, 1_000),
        ("bank", 23_126_110, None),
        ("covered", 0, 0),
    ],
)
def test_a_class_buys_its_share_in_whole_lots(participant: str, offered: int, limit: int | None) -> None:
    assert purchase_limit(CA_PURCHASES, participant, offered) == limit


@pytest.mark.parametrize(
    ("shares", "found"),
    [
        ({"acme": 1}, {"acme": 3_468_000}),
        ({"acme": Decimal("0.5"), "borealis": Decimal("0.5")}, {"acme": 1_734_000, "borealis": 1_734_000}),
        (
            {"acme": Fraction(1, 3), "borealis": Fraction(1, 3), "cobalt": Fraction(1, 3)},
            {"acme": 1_156_000, "borealis": 1_156_000, "cobalt": 1_156_000},
        ),
        (
            {"acme": Decimal("0.25"), "borealis": Decimal("0.75"), "cobalt": 0},
            {"acme": 867_000, "borealis": 2_601_000, "cobalt": 0},
        ),
    ],
)
def test_the_members_of_a_group_share_its_limit(
    shares: dict[str, int | Decimal | Fraction], found: dict[str, int]
) -> None:
    assert group_purchase_limits(3_468_000, shares, 1_000) == found


@pytest.mark.parametrize(
    "shares",
    [{}, {"acme": Decimal("0.9")}, {"acme": 1, "borealis": Decimal("0.01")}, {"acme": 2, "borealis": -1}],
)
def test_shares_that_are_not_one_are_refused(shares: dict[str, int | Decimal | Fraction]) -> None:
    found = group_purchase_limits(1_000, shares, 1)

    assert isinstance(found, Refusal) and found.code == "group_shares_not_one"


@pytest.mark.parametrize(
    ("bids", "limit", "kept"),
    [
        ([3_000, 2_000, 4_000], 6_500, (3_000, 2_000, 1_000)),
        ([3_000, 2_000, 4_000], 3_000, (3_000, 0, 0)),
        ([3_000, 2_000], None, (3_000, 2_000)),
        ([3_000, 2_000], 0, (0, 0)),
        ([], 5_000, ()),
    ],
)
def test_the_dearest_bids_stand_up_to_the_limit(bids: list[int], limit: int | None, kept: tuple[int, ...]) -> None:
    assert bounded_award(bids, limit, 1_000) == kept


@pytest.mark.parametrize(
    ("quota", "obligation", "limits"),
    [
        (CA_2021, 1_000_000, OffsetLimits(40_000, {"out_of_state": 20_000})),
        (CA_2026, 1_000_000, OffsetLimits(60_000, {"out_of_state": 30_000})),
        (OffsetQuota(Decimal("0.033")), 1_000_000, OffsetLimits(33_000)),  # RGGI [RGGI-NY]
        (OffsetQuota(Decimal("0.05")), 1_000_000, OffsetLimits(50_000)),  # China [CN-HJ]
        (None, 1_000_000, OffsetLimits(0)),  # New Zealand [NZ-SET]
        (CA_2021, 74, OffsetLimits(2, {"out_of_state": 1})),
        (CA_2021, 24, OffsetLimits(0, {"out_of_state": 0})),
    ],
)
def test_the_quota_of_offsets(quota: OffsetQuota | None, obligation: int, limits: OffsetLimits) -> None:
    assert offset_limits(quota, obligation) == limits


@pytest.mark.parametrize(
    ("available", "used", "usable"),
    [
        ({"": 100}, {}, {"": 40}),
        ({"out_of_state": 100}, {}, {"out_of_state": 20}),
        ({"out_of_state": 100, "": 100}, {}, {"out_of_state": 20, "": 20}),
        ({"": 100, "out_of_state": 100}, {}, {"": 40, "out_of_state": 0}),
        ({"": 5, "out_of_state": 5}, {}, {"": 5, "out_of_state": 5}),
        ({"out_of_state": 100, "": 100}, {"out_of_state": 15}, {"out_of_state": 5, "": 20}),
        ({"": 100}, {"": 39}, {"": 1}),
        ({"": 100}, {"": 50}, {"": 0}),
        ({}, {}, {}),
    ],
)
def test_offsets_count_up_to_the_quota_and_their_tag(
    available: dict[str, int], used: dict[str, int], usable: dict[str, int]
) -> None:
    assert usable_offsets(offset_limits(CA_2021, 1_000), available, used) == usable


@pytest.mark.parametrize(
    ("regulator", "holder", "limit"), [(None, None, None), (10, None, 10), (None, 5, 5), (10, 5, 5), (5, 10, 5)]
)
def test_the_lower_limit_of_a_transfer_wins(regulator: int | None, holder: int | None, limit: int | None) -> None:
    assert transfer_limit(regulator, holder) == limit


@pytest.mark.parametrize(
    ("quantity", "regulator", "holder", "says"),
    [
        (5, 10, 5, None),
        (6, 10, 5, "the holder's own limit of 5"),
        (11, 10, None, "the scheme's limit of 10"),
        (10**15, None, None, None),
    ],
)
def test_a_transfer_above_the_limit_is_refused_and_says_whose(
    quantity: int, regulator: int | None, holder: int | None, says: str | None
) -> None:
    refusal = transfer_refusal(quantity, regulator, holder)

    assert (refusal is None) is (says is None)
    if refusal and says:
        assert refusal.code == "transfer_limit_exceeded"
        assert says in refusal.sentence


permits = st.integers(0, 10**12)
holding_rules = st.tuples(st.decimals("0.01", "1", places=3), st.decimals("0", "1", places=3), permits).map(
    lambda drawn: HoldingLimit(p1=max(drawn[:2]), base=drawn[2], p2=min(drawn[:2]))
)
holders = st.builds(
    lambda held, kept, obligation: Holder(held, min(kept, sum(held.values())), obligation),
    st.dictionaries(st.none() | st.integers(2024, 2030), permits, max_size=4),
    permits,
    permits,
)


@given(holding_rules, permits, permits)
def test_a_larger_cap_never_lowers_a_holding_limit(rule: HoldingLimit, cap: int, more: int) -> None:
    assert 0 <= holding_limit(rule, cap) <= holding_limit(rule, cap + more)
    assert holding_limit(rule, cap) <= rule.p1 * cap


@given(holding_rules, permits, st.lists(holders, max_size=4), holders)
def test_another_member_never_widens_a_group(rule: HoldingLimit, cap: int, members: list[Holder], one: Holder) -> None:
    before, after = (holding_use(rule, cap, group, 2027) for group in (members, [*members, one]))

    assert after.counted >= before.counted >= 0
    assert after.headroom <= before.headroom
    assert after.counted - before.counted <= sum(one.holdings.values())
    assert not (after.headroom and after.excess)


@given(holding_rules, permits, holders)
def test_the_headroom_is_exactly_what_may_be_received(rule: HoldingLimit, cap: int, one: Holder) -> None:
    use = holding_use(rule, cap, [one], 2027)
    received = replace(one, holdings={**one.holdings, 2027: one.holdings.get(2027, 0) + use.headroom}, in_compliance=0)

    filled = holding_use(rule, cap, [replace(received, obligation=0)], 2027)

    if not one.obligation:
        assert filled.excess == use.excess
        assert filled.headroom == 0
    assert receipt_refusal(use, use.headroom) is None
    assert receipt_refusal(use, use.headroom + 1) is not None


@given(permits, st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any), st.integers(1, 1_000))
def test_a_group_never_buys_more_than_its_limit(limit: int, weights: list[int], lot: int) -> None:
    shares: dict[str, int | Decimal | Fraction] = {
        str(place): Fraction(weight, sum(weights)) for place, weight in enumerate(weights)
    }

    found = group_purchase_limits(limit, shares, lot)

    assert isinstance(found, dict)
    assert limit - lot * len(weights) < sum(found.values()) <= limit
    assert all(part % lot == 0 for part in found.values())


@given(
    st.decimals("0", "1", places=3),
    st.dictionaries(st.sampled_from("abc"), st.decimals("0", "1", places=3), max_size=3),
    permits,
    st.dictionaries(st.sampled_from("abcd"), permits, max_size=4),
)
def test_offsets_keep_within_the_quota_and_every_tag(
    pct: Decimal, sub: dict[str, Decimal], obligation: int, available: dict[str, int]
) -> None:
    limits = offset_limits(OffsetQuota(pct, sub), obligation)

    usable = usable_offsets(limits, available)

    assert sum(usable.values()) <= pct * obligation
    assert all(usable[tag] <= min(available[tag], limits.of(tag)) for tag in available)
    assert all(usable[tag] <= sub[tag] * obligation for tag in available if tag in sub)
    again = usable_offsets(limits, {tag: available[tag] - usable[tag] for tag in available}, usable)
    assert sum(again.values()) == 0


@pytest.mark.parametrize(
    "rule",
    [
        LimitRule(),
        CA_PURCHASES,
        LimitRule(holding=CALIFORNIA, offset=CA_2021),
        # At the edge of what is possible.
        LimitRule(holding=HoldingLimit(Decimal(1), 0, Decimal(1)), offset=OffsetQuota(Decimal(1), {"far": Decimal(1)})),
        LimitRule(
            holding=HoldingLimit(Decimal("0.1"), 1, Decimal(0)), offset=OffsetQuota(Decimal(0), {"a": Decimal(0)})
        ),
        LimitRule(purchase={"all": Decimal(1)}, lot=1, price_band=Decimal("0.01"), transfer=1, cure_days=0),
    ],
)
def test_the_limits_of_real_schemes_contradict_nothing(rule: LimitRule) -> None:
    assert contradictions(rule) == []


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        (LimitRule(holding=replace(CALIFORNIA, p1=Decimal("1.1"))), ["holding_share_out_of_range"]),
        (LimitRule(holding=replace(CALIFORNIA, p2=Decimal("0.2"))), ["holding_share_rises"]),
        (LimitRule(holding=replace(CALIFORNIA, base=-1)), ["holding_base_negative"]),
        (LimitRule(offset=OffsetQuota(Decimal("1.01"))), ["offset_share_out_of_range"]),
        (LimitRule(offset=OffsetQuota(Decimal("0.04"), {"far": Decimal("0.05")})), ["offset_tag_out_of_range"]),
        (LimitRule(purchase={"other": Decimal(0)}), ["purchase_share_out_of_range"]),
        (LimitRule(lot=0), ["lot_not_positive"]),
        (LimitRule(price_band=Decimal(1)), ["price_band_out_of_range"]),
        (LimitRule(transfer=0), ["transfer_limit_not_positive"]),
        (LimitRule(cure_days=-1), ["cure_days_negative"]),
        (
            LimitRule(
                holding=HoldingLimit(Decimal(0), -1, Decimal("0.5")),
                offset=OffsetQuota(Decimal(-1), {"a": Decimal(1), "b": Decimal(-1)}),
                purchase={"a": Decimal(2), "b": Decimal(-1)},
                lot=-1,
            ),
            [
                "holding_share_out_of_range",
                "holding_share_rises",
                "holding_base_negative",
                "offset_share_out_of_range",
                "offset_tag_out_of_range",
                "offset_tag_out_of_range",
                "purchase_share_out_of_range",
                "purchase_share_out_of_range",
                "lot_not_positive",
            ],
        ),
    ],
)
def test_every_contradiction_is_listed(rule: LimitRule, codes: list[str]) -> None:
    assert [one.code for one in contradictions(rule)] == codes
