"""Counter logs: differences by hour, restarts and wraps, domains that overlap, and the chain that shows a change."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.emissions import ItEnergy
from registry.importers.counters import NO_CHAIN, chain, parse_nvml, parse_rapl
from tests.registry.reading import faults, flags, read

GPU, OTHER = "GPU-5a1f-owl", "GPU-77c2-elk"
KWH_MJ = 3_600_000_000


def nvml(*rows: str, header: str = "timestamp,device,energy_mj") -> bytes:
    return "\n".join((header, *rows)).encode()


def at(clock: str, count: int, device: str = GPU) -> str:
    return f"2027-03-01T{clock}Z,{device},{count}"


def chained(*rows: str, before: str = NO_CHAIN) -> bytes:
    lines = []
    for row in rows:
        before = chain(before, row.split(","))
        lines.append(f"{row},{before}")
    return nvml(*lines, header="timestamp,device,energy_mj,chain")


def rapl(*rows: tuple[str, str, int], wraps_at: int = 262_143_328_850) -> bytes:
    lines = [f"2027-03-01T{clock}Z,node-1,{domain},{count},{wraps_at}" for clock, domain, count in rows]
    return "\n".join(("timestamp,host,domain,energy_uj,max_energy_range_uj", *lines)).encode()


def test_energy_is_the_difference_of_two_readings_in_the_hour_of_the_second() -> None:
    log = nvml(
        at("10:00:00", 5 * KWH_MJ),
        at("10:00:00", 0, OTHER),
        at("10:30:00", 5 * KWH_MJ + 36),
        at("11:00:00", 6 * KWH_MJ),
        at("11:30:00", 8 * KWH_MJ),
        at("11:00:00", 1, OTHER),
    )

    result = parse_nvml(log, max_gap_s=3600)

    assert [(line.key, line.energy) for line in read(result).lines] == [
        (f"nvml:{GPU}:2027-03-01T10Z", ItEnergy(Decimal(1))),
        (f"nvml:{GPU}:2027-03-01T11Z", ItEnergy(Decimal(2))),
        (f"nvml:{OTHER}:2027-03-01T10Z", ItEnergy(Decimal("0.000000000277777777777778"))),
    ]
    first = read(result).lines[0]
    assert (first.started_at, first.ended_at) == (
        datetime(2027, 3, 1, 10, tzinfo=UTC),
        datetime(2027, 3, 1, 11, tzinfo=UTC),
    )
    assert (Decimal(first.evidence["energy_j"]), first.evidence["differences"]) == (Decimal(3_600_000), "2")
    assert (first.tier, flags(result)) == (None, [("chain", "not_chained")])


def test_a_restart_counts_from_zero_and_is_flagged_once_with_its_number() -> None:
    log = nvml(*(at(f"10:0{minute}:00", count) for minute, count in enumerate((9000, 9100, 50, 70, 20))))

    result = parse_nvml(log)

    assert Decimal(read(result).lines[0].evidence["energy_j"]) == Decimal("0.19")
    assert flags(result) == [("chain", "not_chained"), ("device", "counter_reset")]
    assert "2 x" in read(result).flags[1].sentence


@pytest.mark.parametrize(
    ("last", "flag"),
    [(at("10:10:00", 2), "gap"), (at("10:00:01", 5_000_001), "power_implausible")],
)
def test_what_a_verifier_should_see_is_flagged(last: str, flag: str) -> None:
    assert flags(parse_nvml(nvml(at("10:00:00", 0), last))) == [("chain", "not_chained"), ("device", flag)]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (at("10:01:00", 7), ("timestamp", "reading_twice")),
        (at("09:00:00", 7), ("timestamp", "readings_overlap")),
        (at("10:05:00", 7, OTHER), ("timestamp", "one_reading")),
        (at("10:05:00", -7), ("energy_mj", "number_out_of_range")),
        (at("10:05:00", 2**64), ("energy_mj", "number_out_of_range")),
        ("2027-03-01T10:05:00,GPU-5a1f-owl,7", ("timestamp", "not_an_instant")),
        ("2027-03-01T10:05:00Z,,7", ("device", "missing_value")),
        ("2027-03-01T10:05:00Z,my gpu,7", ("device", "not_a_device")),
        ("2027-03-01T10:05:00Z,GPU-5a1f-owl,1.5", ("energy_mj", "not_whole")),
    ],
)
def test_a_wrong_row_is_refused_with_line_and_column(row: str, fault: tuple[str, str]) -> None:
    assert faults(parse_nvml(nvml(at("10:00:00", 5), at("10:01:00", 6), row))) == [(4, *fault)]


def test_a_chained_log_is_evidence_of_tier_two() -> None:
    rows = (at("10:00:00", 5), at("10:01:00", 6), at("10:02:00", 9))

    result = parse_nvml(chained(*rows))

    (line,) = read(result).lines
    assert (line.tier, flags(result)) == (2, [])
    assert chained(*rows).decode().endswith(line.evidence["chain_end"])


def test_a_row_that_was_changed_left_out_or_put_in_breaks_the_chain() -> None:
    log = chained(at("10:00:00", 5), at("10:01:00", 6), at("10:02:00", 9), at("10:03:00", 11))
    lines = log.split(b"\n")

    assert faults(parse_nvml(log.replace(b":00Z,GPU-5a1f-owl,6", b":00Z,GPU-5a1f-owl,4"))) == [
        (3, "chain", "chain_broken")
    ]
    assert faults(parse_nvml(b"\n".join([*lines[:3], *lines[4:]]))) == [(4, "chain", "chain_broken")]
    assert faults(parse_nvml(log.replace(lines[2][-64:], b"x" * 64))) == [
        (3, "chain", "not_a_hash"),
    ]


def test_a_log_goes_on_from_the_chain_of_the_one_before() -> None:
    first = parse_nvml(chained(at("10:00:00", 5), at("10:01:00", 6)))
    end = read(first).lines[0].evidence["chain_end"]
    second = chained(at("11:00:00", 7), at("11:01:00", 9), before=end)

    assert faults(parse_nvml(second)) == [(2, "chain", "chain_broken")]
    assert read(parse_nvml(second, previous_chain=end)).lines[0].tier == 2


def test_a_processor_counter_wraps_at_its_range() -> None:
    result = parse_rapl(rapl(("10:00:00", "package-0", 900), ("10:01:00", "package-0", 100), wraps_at=1000))

    assert Decimal(read(result).lines[0].evidence["energy_j"]) == Decimal("0.0002")
    assert [code for _, code in flags(result)] == ["not_chained", "counter_wrapped", "wrap_unseen"]
    assert faults(parse_rapl(rapl(("10:00:00", "package-0", 1001), wraps_at=1000))) == [
        (2, "energy_uj", "number_out_of_range")
    ]
    both = rapl(("10:00:00", "package-0", 1)) + b"\n2027-03-01T10:01:00Z,node-1,package-0,5,99"
    assert faults(parse_rapl(both)) == [(3, "max_energy_range_uj", "range_changed")]


@pytest.mark.parametrize(
    ("domains", "counting", "codes"),
    [
        (("package-0", "package-1"), {"package-0", "package-1"}, set()),
        (("package-0", "core-0", "uncore-0"), {"package-0"}, {"domains_overlap"}),
        (("package-0", "dram-0"), {"package-0", "dram-0"}, set()),
        (("psys", "package-0", "core-0", "dram-0"), {"psys"}, {"domains_overlap"}),
        (("package-0", "core-1"), {"package-0", "core-1"}, {"cores_only"}),
        (("core-0", "uncore-0"), {"core-0", "uncore-0"}, {"cores_only"}),
    ],
)
def test_domains_that_contain_each_other_are_never_added(
    domains: tuple[str, ...], counting: set[str], codes: set[str]
) -> None:
    rows = [(clock, domain, count) for clock, count in (("10:00:00", 0), ("10:01:00", 7)) for domain in domains]

    result = parse_rapl(rapl(*rows))

    assert {line.label.split()[1] for line in read(result).lines} == counting
    assert {code for _, code in flags(result)} - {"not_chained"} == codes


@given(st.lists(st.integers(0, 10**15), min_size=2, max_size=20), st.integers(1, 7200))
def test_the_hours_add_up_to_what_the_counter_moved(steps: list[int], seconds: int) -> None:
    counts = [sum(steps[: number + 1]) for number in range(len(steps))]
    start = int(datetime(2027, 3, 1, tzinfo=UTC).timestamp())
    moments = [datetime.fromtimestamp(start + number * seconds, UTC) for number in range(len(steps))]
    log = nvml(*(f"{moment:%Y-%m-%dT%H:%M:%SZ},{GPU},{count}" for moment, count in zip(moments, counts, strict=True)))

    lines = read(parse_nvml(log, max_gap_s=7200)).lines

    assert sum(Decimal(line.evidence["energy_j"]) for line in lines) * 1000 == counts[-1] - counts[0]
    assert len({line.key for line in lines}) == len(lines)
