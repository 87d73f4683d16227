"""Monitoring plans as plain values: what a plan says, what it still lacks, and how two versions of it differ.

A plan names the boundary of what is measured, the activities that it covers, and for each system by which method, at
which tier and with which meter; the factors that emissions follow from; who measures and who checks; and what happens
when figures are missing. Everything may be left open in a draft. A version lacks nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from registry.engine.refusals import Refusal

SCHEMA: Final = "headroom.monitoring-plan/1"

DEFAULT_PUE: Final = Decimal("1.5")
"""What counts for a site whose power usage effectiveness nobody proved: more than almost any data centre needs."""

BOUNDARIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accelerator": "Accelerators only",
        "it": "IT equipment",
        "full_stack": "Full stack",
    }
)
"""What is measured: the chips; the servers, storage and network around them; or the site with cooling and losses."""

ACTIVITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "training": "Training",
        "fine_tuning": "Fine-tuning",
        "inference": "Inference",
        "evaluation": "Evaluation",
    }
)

METHODS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "counters": "Counters of the devices",
        "meter": "Meter or bill",
        "ratings": "Ratings and hours",
        "client": "Client software",
    }
)

BEST_TIER: Final[Mapping[str, int]] = MappingProxyType({"counters": 5, "meter": 5, "ratings": 0, "client": 2})
"""The best tier that a method can reach. Ratings are typed figures; what client software reads are counters."""

FACTORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "annual": "Yearly average of the grid",
        "hourly": "Hourly values of the grid",
    }
)

STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "boundary": "Boundary",
        "activities": "Activities",
        "systems": "Systems and meters",
        "factors": "Factors and gaps",
        "check": "Check and submit",
    }
)
"""The steps in which a plan is written, in their order."""

LINE, WORDS = 160, 2000
"""How long a short and a long answer may be."""


@dataclass(frozen=True)
class Measured:
    """How one system is measured. An empty method is one that nobody chose yet."""

    method: str = ""
    tier: int = 0
    meter: str = ""


@dataclass(frozen=True)
class Content:
    """What a plan says. Systems are named by their ids."""

    boundary: str = ""
    boundary_words: str = ""
    activities: tuple[str, ...] = ()
    left_out: str = ""
    systems: Mapping[str, Measured] = field(default_factory=dict)
    factors: str = ""
    measures: str = ""
    checks: str = ""
    gaps: str = ""
    changes: str = ""

    @property
    def boundary_text(self) -> str:
        """The boundary in one line, as a report shows it."""
        named = BOUNDARIES.get(self.boundary, "")
        return ": ".join(filter(None, (named, self.boundary_words)))


@dataclass(frozen=True)
class SystemFacts:
    """What is known of a system that is open: where it stands, its proven tier, and the activities it is used for."""

    key: str
    name: str
    tier: int
    activities: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lack:
    """Something that a plan lacks, and the step in which it is put right."""

    step: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Difference:
    """One thing that two versions say differently. Empty means that the version says nothing of it."""

    subject: str
    before: str
    after: str


# Reading and writing --------------------------------------------------------------------------------------------------

_LINES = ("boundary_words", "measures", "checks")
_LONG = ("left_out", "gaps", "changes")
_CHOICES: Final[Mapping[str, Mapping[str, str]]] = {"boundary": BOUNDARIES, "factors": FACTORS}
_DESCRIBED = ("schema", "scheme", "operator", "version", "valid_from")
"""What a frozen document says beside the content of the plan."""


def read_content(document: object) -> Content | tuple[Refusal, ...]:
    """Return what a document says, or everything that is wrong with it. What it leaves out is empty."""
    if not isinstance(document, Mapping):
        return (Refusal("plan_unreadable", "A plan is an object with named parts."),)
    faults = [
        Refusal("plan_part_unknown", f"{str(name)[:60]}: a plan has no such part.")
        for name in document
        if name not in Content.__dataclass_fields__ and name not in _DESCRIBED
    ]
    said: dict[str, Any] = {}
    for name, choices in _CHOICES.items():
        said[name] = document.get(name) or ""
        if said[name] and (not isinstance(said[name], str) or said[name] not in choices):
            faults.append(Refusal("plan_choice_unknown", f"{name}: choose one of {', '.join(choices)}."))
    for names, most in ((_LINES, LINE), (_LONG, WORDS)):
        for name in names:
            said[name] = _words(name, document.get(name), most, faults)
    said["activities"] = _activities(document.get("activities") or (), faults)
    said["systems"] = _systems(document.get("systems") or {}, faults)
    return tuple(faults) or Content(**said)


def write_content(content: Content) -> dict[str, Any]:
    """Return a plan's content as JSON carries it."""
    document = asdict(replace(content, systems={}))
    document["activities"] = list(content.activities)
    document["systems"] = {key: asdict(measured) for key, measured in sorted(content.systems.items())}
    return document


def _words(name: str, said: object, most: int, faults: list[Refusal]) -> str:
    if said is None:
        return ""
    if not isinstance(said, str) or len(said.strip()) > most or not _is_text(said):
        faults.append(Refusal("plan_words_unreadable", f"{name}: write at most {most} letters of plain text."))
        return ""
    return said.strip()


def _is_text(said: str) -> bool:
    return all(letter.isprintable() or letter in "\r\n\t" for letter in said)


def _activities(said: object, faults: list[Refusal]) -> tuple[str, ...]:
    if not isinstance(said, list | tuple) or any(
        not isinstance(activity, str) or activity not in ACTIVITIES for activity in said
    ):
        faults.append(Refusal("plan_choice_unknown", f"activities: list some of {', '.join(ACTIVITIES)}."))
        return ()
    return tuple(activity for activity in ACTIVITIES if activity in said)


def _systems(said: object, faults: list[Refusal]) -> dict[str, Measured]:
    if not isinstance(said, Mapping):
        faults.append(Refusal("plan_unreadable", "systems: name each system by its id, with method, tier and meter."))
        return {}
    read = {}
    for key, row in said.items():
        if not isinstance(row, Mapping):
            faults.append(Refusal("plan_unreadable", f"systems, {str(key)[:60]}: say method, tier and meter."))
            continue
        method, tier = row.get("method") or "", row.get("tier", 0)
        if not isinstance(method, str) or (method and method not in METHODS):
            faults.append(
                Refusal("plan_choice_unknown", f"systems, {str(key)[:60]}: the method is one of {', '.join(METHODS)}.")
            )
        elif isinstance(tier, bool) or not isinstance(tier, int) or not 0 <= tier <= 5:
            faults.append(Refusal("tier_unknown", f"systems, {str(key)[:60]}: the tier is a whole number, 0 to 5."))
        else:
            read[str(key)] = Measured(method, tier, _words("meter", row.get("meter"), LINE, faults))
    return read


# What is missing ------------------------------------------------------------------------------------------------------


def lacks(content: Content, systems: Sequence[SystemFacts], *, follows: bool) -> tuple[Lack, ...]:
    """Return everything that keeps a plan from being submitted, in the order of the steps.

    `follows` says that another version was in force before, so that the plan has to say what changed.
    """
    return (
        *_boundary_lacks(content),
        *_activity_lacks(content, systems),
        *_system_lacks(content, systems),
        *_factor_lacks(content),
        *(
            [Lack("check", "changes_missing", "Say what changed since the version in force.")]
            if follows and not content.changes
            else []
        ),
    )


def _boundary_lacks(content: Content) -> Iterable[Lack]:
    if not content.boundary:
        yield Lack("boundary", "boundary_missing", "Choose what is measured: accelerators, IT equipment or full stack.")
    if not content.boundary_words:
        yield Lack("boundary", "boundary_words_missing", "Say in words what lies inside the boundary and what outside.")


def _activity_lacks(content: Content, systems: Sequence[SystemFacts]) -> Iterable[Lack]:
    if not content.activities:
        yield Lack("activities", "activities_missing", "Choose at least one activity that the plan covers.")
        return
    used = {activity for system in systems for activity in system.activities}
    outside = [ACTIVITIES[activity] for activity in ACTIVITIES if activity in used - set(content.activities)]
    if outside and not content.left_out:
        yield Lack(
            "activities",
            "activity_not_covered",
            f"{', '.join(outside)}: you have workloads of this kind. Cover it, or say why it is left out.",
        )


def _system_lacks(content: Content, systems: Sequence[SystemFacts]) -> Iterable[Lack]:
    if not systems:
        yield Lack("systems", "systems_missing", "You have no open system. Add your sites and systems first.")
    for system in systems:
        measured = content.systems.get(system.key, Measured())
        if not measured.method:
            yield Lack("systems", "system_not_covered", f"{system.name}: say how it is measured.")
            continue
        best = BEST_TIER[measured.method]
        if measured.tier > best:
            yield Lack(
                "systems",
                "tier_beyond_method",
                f"{system.name}: {METHODS[measured.method].lower()} reach tier {best} at most.",
            )
        if measured.tier > system.tier:
            yield Lack(
                "systems",
                "tier_not_proven",
                f"{system.name}: the plan says tier {measured.tier}, and there is proof of tier {system.tier}. "
                "Add proof to the system, or choose a lower tier.",
            )
        if measured.method != "ratings" and not measured.meter:
            yield Lack("systems", "meter_missing", f"{system.name}: name what measures it, with its serial number.")


def _factor_lacks(content: Content) -> Iterable[Lack]:
    answers = (
        (content.factors, "factors_missing", "Choose which factors turn energy into emissions."),
        (content.measures, "measures_missing", "Name who measures, by role or department."),
        (content.checks, "checks_missing", "Name who checks the figures."),
        (content.gaps, "gaps_missing", "Say what you do when figures are missing."),
    )
    for said, code, sentence in answers:
        if not said:
            yield Lack("factors", code, sentence)
    if content.measures and content.measures.casefold() == content.checks.casefold():
        yield Lack("factors", "nobody_else_checks", "Whoever checks is somebody else than who measures.")


# Two versions ---------------------------------------------------------------------------------------------------------

_SUBJECTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "boundary": "Boundary",
        "boundary_words": "Boundary in words",
        "activities": "Activities",
        "left_out": "Left out",
        "factors": "Factors",
        "measures": "Who measures",
        "checks": "Who checks",
        "gaps": "When figures are missing",
    }
)


def differences(before: Content, after: Content, names: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return what two versions say differently; `names` tells how the systems are called."""
    found = [
        Difference(subject, _spelled(before, name), _spelled(after, name))
        for name, subject in _SUBJECTS.items()
        if _spelled(before, name) != _spelled(after, name)
    ]
    keys = sorted({*before.systems, *after.systems}, key=lambda key: (names.get(key, key), key))
    for key in keys:
        one, other = described(before.systems.get(key)), described(after.systems.get(key))
        if one != other:
            found.append(Difference(names.get(key, key), one, other))
    return tuple(found)


def described(measured: Measured | None) -> str:
    """Say in one line how a system is measured; nothing where it is not part of the plan."""
    if measured is None:
        return ""
    parts = (METHODS.get(measured.method, "No method yet"), f"tier {measured.tier}", measured.meter)
    return ", ".join(filter(None, parts))


def _spelled(content: Content, name: str) -> str:
    if name == "activities":
        return ", ".join(ACTIVITIES[activity] for activity in content.activities)
    said: str = getattr(content, name)
    return _CHOICES[name].get(said, said) if name in _CHOICES else said
