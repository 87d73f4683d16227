"""Allocation runs: worked out by the engine from frozen inputs, read by people as a draft, executed by approval.

The inputs follow from the rules in force at the period's start and from what the registry knows (`draft_by_rules`), or
are uploaded as a document (`draft_run`). A run by the rules is worked out from scratch again at every check, so that
nothing is allocated on figures or rules that have changed since. Executing a run publishes it.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import transaction
from django.db.models import Sum

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Refused, SeveralRefusals, Unknown, require, require_none
from registry import rulebook
from registry.engine import allocation as engine
from registry.engine import reserve
from registry.engine.allocation import Stage
from registry.engine.rounding import exact, exact_text, floor_permits
from registry.models import (
    ALLOCATION_RUN,
    AllocationLine,
    AllocationRun,
    AllocationTable,
    Cap,
    Operator,
    Period,
    Scheme,
)
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import allocation_data, allocation_moves, cases, debts, regimes, reminders, runs, transactions
from registry.services.allocation_moves import RESERVES

RUN_ALLOCATION = "registry.run_allocation"
RULES_VERSION = engine.RESULT_FORMAT
SET_ASIDE, NEW_ENTRANTS = allocation_data.SET_ASIDE, allocation_data.NEW_ENTRANTS
COMBINED, SETTLED = "COMBINED", "SETTLED"
"""Methods of a line beside the engine's own: several methods for one operator, and a settlement without any claim."""


def operator_key(operator: Operator) -> str:
    """Return the name by which the inputs know an operator: its account number, so that ties fall by account."""
    return operator.account.number


def permit_size(scheme: Scheme) -> Fraction:
    """Return how much one permit covers in the engine's base unit: FLOP, or tonnes of CO2e."""
    return engine.base_units(engine.Metric(scheme.metric), scheme.unit_size)


# Drafting -------------------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def draft_run(
    *,
    actor: User,
    period: Period,
    inputs: engine.AllocationInputs,
    now: datetime,
    stage: Stage = Stage.INITIAL,
) -> AllocationRun:
    """Work out an allocation from inputs that were uploaded, and keep it as a draft for people to read first."""
    regulator_of(actor)
    period = Period.objects.select_related("scheme").get(pk=period.pk)
    return _draft(actor, AllocationRun(period=period, stage=stage.value), inputs, now)


@transaction.atomic(durable=True)
def draft_by_rules(*, actor: User, period: Period, now: datetime, stage: Stage = Stage.INITIAL) -> AllocationRun:
    """Work out an allocation from the rules at the period's start, its cap, and what the registry knows; keep a draft.

    Refused with everything that is missing or contradicts itself.
    """
    regulator_of(actor)
    period = Period.objects.select_related("scheme__currency").get(pk=period.pk)
    run = AllocationRun(
        period=period,
        stage=stage.value,
        by_rules=True,
        rules_sha256=rulebook.rules_version(period.scheme, period.starts_on),
    )
    return _draft(actor, run, inputs_by_rules(period, stage), now)


def inputs_by_rules(period: Period, stage: Stage = Stage.INITIAL) -> engine.AllocationInputs:
    """Return the inputs that follow from the rules, the cap and the registry's own data, or refuse with every reason.

    A settlement repeats the needs and applications that the first stage served.
    """
    cap = _cap(period)
    if cap is None:
        raise Refused("period_not_open", f"{period} is not open: publish its cap first.")
    first = _first_stage(period) if stage is Stage.SETTLEMENT else None
    if stage is Stage.SETTLEMENT and first is None:
        raise Refused("first_stage_missing", f"{period} has no executed first allocation that could be settled.")
    policy = rulebook.policy_at(period.scheme, period.starts_on)
    contained = sum(reserve.tier_quantity(tier, cap) for tier in policy.supply.ccr)
    data = allocation_data.operator_data(period)
    inputs = engine.inputs_from_rules(
        policy,
        period=period.code,
        year=period.year,
        cap=cap,
        operators=data if first is None else _as_served(data, first),
        reserves=(engine.Reserve("containment", contained),) if contained else (),
        stage=stage,
    )
    if isinstance(inputs, tuple):
        raise SeveralRefusals([Refused(refusal.code, refusal.sentence) for refusal in inputs])
    return inputs


def foreseen_settlement(period: Period) -> dict[str, str]:
    """Return what the settlement by the rules comes to now and keep nothing; it is refused for what a draft is."""
    run = AllocationRun(period=period, stage=Stage.SETTLEMENT.value, by_rules=True)
    result = _result(run, inputs_by_rules(period, Stage.SETTLEMENT), _operators(period.scheme))
    return {
        "inputs_sha256": result.inputs_hash,
        "given": str(result.free_permits),
        "owed_back": str(result.clawback_permits),
    }


def _as_served(data: Iterable[engine.OperatorData], first: AllocationRun) -> list[engine.OperatorData]:
    """Put the needs and applications of the first stage in the place of what is known today."""
    before = engine.inputs_from_document(first.inputs)
    needs = {need.operator: need.permits for need in before.set_aside_needs}
    pool = before.new_entrants
    applications = {application.operator: application for application in pool.applications} if pool else {}
    return [
        replace(
            operator,
            proven_need=needs.get(operator.operator, 0),
            applied_at=applications[operator.operator].complete_at if operator.operator in applications else None,
            applied_permits=applications[operator.operator].permits if operator.operator in applications else 0,
        )
        for operator in data
    ]


def _draft(actor: User, run: AllocationRun, inputs: engine.AllocationInputs, now: datetime) -> AllocationRun:
    """Work a run out and keep it with its lines."""
    assert_in_transaction()
    period = run.period
    operators = _operators(period.scheme)
    result = _result(run, inputs, operators)
    run.inputs, run.inputs_sha256 = engine.inputs_document(inputs), result.inputs_hash
    run.rules_version = result.format
    run.cap, run.free, run.auction = result.cap, result.free_permits, result.auction_permits
    run.set_aside = 0 if run.stage == Stage.SETTLEMENT else result.set_aside_permits  # given in the first stage
    run.kept = run.cap - run.free - run.set_aside - run.auction
    run.drafted_by, run.drafted_at = actor, now
    run.save(force_insert=True)
    AllocationLine.objects.bulk_create(_lines(run, result, operators))
    audit.record(
        actor,
        "registry.allocation.drafted",
        run,
        at=now,
        organisation=regulator_of(actor),
        period=period.code,
        stage=run.stage,
        by_rules=run.by_rules,
        tables=_tables(period.scheme) if run.by_rules else [],
        inputs_sha256=run.inputs_sha256,
        free=run.free,
        set_aside=run.set_aside,
        kept=run.kept,
        auction=run.auction,
    )
    return run


def _result(
    run: AllocationRun, inputs: engine.AllocationInputs, operators: Mapping[str, Operator]
) -> engine.AllocationResult:
    """Divide the cap as the inputs say, or refuse with every reason why they do not fit the period."""
    require_none(list(_faults(run, inputs, operators)))
    result = engine.allocate(inputs)
    require_none([Refused(refusal.code, refusal.sentence) for refusal in result.refusals])
    require_none(list(_settlement_faults(run, inputs, result)))
    return result


# Proposing and executing ----------------------------------------------------------------------------------------------


def propose_run(*, actor: User, run: AllocationRun, now: datetime) -> Approval:
    """Propose to execute a draft; another officer approves exactly these inputs."""
    what = "Settle" if run.stage == Stage.SETTLEMENT else "Allocate"
    return approvals.propose(
        actor=actor,
        act=RUN_ALLOCATION,
        organisation=regulator_of(actor),
        summary=f"{what} {run.free + run.set_aside:,} of {run.cap:,} permits of {run.period}, "
        + (f"{run.kept:,} kept back, the rest to auction." if run.kept else "the rest to auction."),
        parameters={"run": str(run.pk), "inputs_sha256": run.inputs_sha256},
        now=now,
    )


@transaction.atomic(durable=True)
def discard_run(*, actor: User, run: AllocationRun, now: datetime) -> AllocationRun:
    """Put a draft away for good."""
    regulator = regulator_of(actor)
    run = AllocationRun.objects.select_for_update(of=("self",)).select_related("period__scheme").get(pk=run.pk)
    ALLOCATION_RUN.require(run.status, "discarded")
    run.status = "discarded"
    run.save(update_fields=["status"])
    audit.record(actor, "registry.allocation.discarded", run, at=now, organisation=regulator)
    return run


def recomputed_lines(run: AllocationRun) -> list[tuple[str, str, int, int]]:
    """Work a run out again from its frozen inputs: operator key, method, claim and quantity of each line."""
    result = engine.allocate(engine.inputs_from_document(run.inputs))
    return sorted((key, line.method, line.claim, line.quantity) for key, line in _keyed_lines(run, result))


def stored_lines(run: AllocationRun) -> list[tuple[str, str, int, int]]:
    """Return the lines of a run as they were kept, in the order of `recomputed_lines`."""
    return sorted(run.lines.values_list("operator__account__number", "method", "claim", "quantity"))


def _check(parameters: Mapping[str, Any]) -> None:
    run = AllocationRun.objects.select_related("period__scheme__currency").filter(pk=parameters["run"]).first()
    if run is None:
        raise Unknown("allocation_run_unknown", "There is no such allocation run. Check the address.")
    ALLOCATION_RUN.require(run.status, "executed")
    require(run.period.status == "open", "period_not_open", "Permits are allocated in an open period only.")
    require(
        not AllocationRun.objects.filter(period=run.period, stage=run.stage, status="executed").exists(),
        "allocated_already",
        f"{run.period} was {'settled' if run.stage == Stage.SETTLEMENT else 'allocated'} already.",
    )
    inputs = engine.inputs_from_document(run.inputs)
    same = engine.inputs_hash(inputs) == run.inputs_sha256 == parameters["inputs_sha256"]
    require(same, "allocation_inputs_differ", "The inputs are not the ones that were proposed. Draft the run again.")
    require(
        recomputed_lines(run) == stored_lines(run),
        "allocation_lines_differ",
        "The lines do not follow from the inputs by the present rules. Draft the run again.",
    )
    if run.by_rules:
        present = engine.inputs_hash(inputs_by_rules(run.period, Stage(run.stage)))
        require(
            present == run.inputs_sha256,
            "allocation_data_changed",
            "The rules or the data have changed since this run was worked out. Draft it again.",
        )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Post every line in one journal, settle debts, and publish the run; all of it or nothing."""
    assert approval.decided_by is not None
    period_id = AllocationRun.objects.values_list("period_id", flat=True).get(pk=approval.parameters["run"])
    Period.objects.select_for_update(no_key=True).get(pk=period_id)  # one allocation of a period at a time
    run = (
        AllocationRun.objects.select_for_update(of=("self",))
        .select_related("period__scheme__currency")
        .get(pk=approval.parameters["run"])
    )
    _check(approval.parameters)  # under the lock: two runs may have been approved at once
    inputs = engine.inputs_from_document(run.inputs)
    result, operators = engine.allocate(inputs), _operators(run.period.scheme)
    first = _first_stage(run.period) if run.stage == Stage.SETTLEMENT else None
    require_none(list(_settlement_faults(run, inputs, result)))
    allocation_moves.settle_debts(run, result, operators, now)
    plan = allocation_moves.plan(run, inputs, result, operators, first, now)
    require(bool(plan.moves), "nothing_to_move", "Nothing moves by this run: every permit is where it belongs.")
    posted = transactions.move(
        moves=plan.moves,
        organisation=approval.organisation,
        journal="allocation",
        reference=f"allocation:{run.period.code}" + ("" if first is None else ":settlement"),
        actor=approval.decided_by,
        now=now,
        note=f"Inputs {run.inputs_sha256}",
        details={"run": str(run.pk)},
    )
    allocation_moves.record_taken(run, plan, posted.journal_id, now)
    run.status, run.journal_id, run.executed_at = "executed", posted.journal_id, now
    run.save(update_fields=["status", "journal", "executed_at"])
    debts.settle_delivery(run.period, _delivered(run), now, run=run.pk)
    cases.escrow_contested(run.period, now)
    reminders.withdraw(run.period.code, "allocation", now)
    published = runs.publish(
        runs.work_out("allocation", run.period, run.period.starts_on, run.inputs),
        run.period,
        actor=approval.decided_by,
        now=now,
        approval=approval,
        allocation=run,
    )
    audit.record(
        approval.decided_by,
        "registry.allocation.executed",
        run,
        at=now,
        organisation=approval.organisation,
        period=run.period.code,
        stage=run.stage,
        inputs_sha256=run.inputs_sha256,
        lines=run.lines.count(),
        outstanding=plan.outstanding,
    )
    if run.stage == Stage.SETTLEMENT:
        reminders.withdraw(run.period.code, "true_up", now)
    return {"run": str(run.pk), "journal": run.journal_id, "published": str(published.pk)}


# Lines ----------------------------------------------------------------------------------------------------------------


def _delivered(run: AllocationRun) -> dict[uuid.UUID, int]:
    """Return how many permits each operator got into its account; those of a consignment cannot pay for anything."""
    lines = run.lines.exclude(figures__has_key="consigned")
    sums = lines.order_by().values("operator_id").annotate(sum=Sum("quantity"))
    return {row["operator_id"]: row["sum"] for row in sums if row["sum"]}


def _lines(
    run: AllocationRun, result: engine.AllocationResult, operators: Mapping[str, Operator]
) -> Iterator[AllocationLine]:
    for key, line in _keyed_lines(run, result):
        line.operator = operators[key]
        yield line


def _keyed_lines(run: AllocationRun, result: engine.AllocationResult) -> Iterator[tuple[str, AllocationLine]]:
    """Turn the engine's awards into lines: one for the free permits of an operator, one for each pool it is given from.

    A settlement repeats the pools but gives nothing from them, so that it has lines for free permits only.
    """
    by_operator: defaultdict[str, list[engine.AllocationLine]] = defaultdict(list)
    true_ups: defaultdict[str, list[engine.AllocationLine]] = defaultdict(list)
    for line in result.lines:
        by_operator[line.operator].append(line)
    for line in result.true_up_lines:
        true_ups[line.operator].append(line)
    for award in result.awards:
        claims, corrected = by_operator[award.operator], true_ups[award.operator]
        if claims or corrected or award.clawback:
            yield award.operator, _free_line(run, result, award, claims, corrected)
        if run.stage == Stage.SETTLEMENT:
            continue
        if award.set_aside_need:
            yield (
                award.operator,
                AllocationLine(
                    run=run,
                    method=SET_ASIDE,
                    figures={"proven_need": str(award.set_aside_need)},
                    claim=award.set_aside_need,
                    quantity=award.set_aside_permits,
                ),
            )
        if award.new_entrant_permits:
            yield (
                award.operator,
                AllocationLine(
                    run=run,
                    method=NEW_ENTRANTS,
                    figures={"served": str(award.new_entrant_permits)},
                    claim=award.new_entrant_permits,
                    quantity=award.new_entrant_permits,
                ),
            )


def _free_line(
    run: AllocationRun,
    result: engine.AllocationResult,
    award: engine.Award,
    claims: list[engine.AllocationLine],
    true_ups: list[engine.AllocationLine],
) -> AllocationLine:
    """Return the line of an operator's free permits with every figure it follows from."""
    methods = {line.method.value for line in (*claims, *true_ups)} or {SETTLED}
    figures: dict[str, Any] = {
        "claims": [engine.line_document(line) for line in claims],
        "claimed_permits": exact_text(award.claimed_permits),
        "correction_factor": exact_text(result.correction_factor),
        "corrected_permits": exact_text(award.corrected_permits),
        "remainder": exact_text(award.remainder),
    }
    if true_ups:
        figures["true_ups"] = [engine.line_document(line) for line in true_ups]
    if award.entitled_permits != award.free_permits or award.debt or award.clawback:
        figures |= {
            "entitled_permits": str(award.entitled_permits),
            "delivered_before": str(award.delivered_before),
            "clawback": str(award.clawback),
            "debt_before": str(award.debt_before),
            "debt": str(award.debt),
        }
    if award.consigned:
        figures["consigned"] = True
    return AllocationLine(
        run=run,
        method=methods.pop() if len(methods) == 1 else COMBINED,
        figures=figures,
        claim=floor_permits(award.claimed_permits).permits,
        quantity=award.free_permits,
    )


# What the inputs are checked against ----------------------------------------------------------------------------------


def _operators(scheme: Scheme) -> dict[str, Operator]:
    operators = Operator.objects.filter(scheme=scheme).select_related("account", "organisation")
    return {operator_key(operator): operator for operator in operators}


def _cap(period: Period) -> int | None:
    """Return the published cap of an open period."""
    if period.status != "open":
        return None
    return Cap.objects.filter(period=period).order_by("-version").values_list("quantity", flat=True).first()


def _first_stage(period: Period) -> AllocationRun | None:
    return AllocationRun.objects.filter(period=period, stage=Stage.INITIAL, status="executed").first()


def _tables(scheme: Scheme) -> list[str]:
    """Return the hashes of the tables that a run by the rules has read, in the order of their versions."""
    return list(AllocationTable.objects.filter(scheme=scheme).order_by("version").values_list("sha256", flat=True))


def _faults(
    run: AllocationRun, inputs: engine.AllocationInputs, operators: Mapping[str, Operator]
) -> Iterator[Refused]:
    """List where the inputs do not describe this period."""
    period, scheme = run.period, run.period.scheme
    cap = _cap(period)
    if cap is None:
        yield Refused("period_not_open", f"{period} is not open: publish its cap first.")
    elif inputs.cap != cap:
        yield Refused("cap_differs", f"The inputs divide {inputs.cap:,} permits; the cap is {cap:,}.")
    if (inputs.scheme, inputs.period, inputs.metric) != (scheme.code, period.code, scheme.metric):
        yield Refused("inputs_of_another_period", f"The inputs name another scheme, period or metric than {period}.")
    if exact(inputs.permit_size) != permit_size(scheme):
        yield Refused(
            "permit_size_differs", f"A permit of {scheme} covers {exact_text(permit_size(scheme))} base units."
        )
    for key in sorted(_named(inputs) - operators.keys()):
        yield Refused("operator_unknown", f"{key} is not the account of an operator of {scheme}.")
    confirmed = _confirmed(period, operators) if inputs.set_aside_needs else set()
    for need in inputs.set_aside_needs:
        operator = operators.get(need.operator)
        if operator is None:
            continue
        if operator.cohort != need.cohort:
            yield Refused("cohort_differs", f"{need.operator} is in the cohort {operator.cohort}, not {need.cohort}.")
        elif operator.pk not in confirmed or (operator is not None and operator.pk not in confirmed):
            yield Refused(
                "cohort_not_checked",
                f"{operator.organisation} was not confirmed as {need.cohort} for {period.year}. Check it first.",
            )
    if inputs.transfers:
        yield Refused("transfers_not_moved", "Permits of other caps cannot be divided here: transfer them first.")
    for kept in inputs.reserves:
        if kept.name not in RESERVES:
            yield Refused("reserve_unknown", f"There is no reserve {kept.name!r}, only {', '.join(sorted(RESERVES))}.")
    yield from _standing_faults(run, inputs)


def _confirmed(period: Period, operators: Mapping[str, Operator]) -> set[uuid.UUID]:
    """Return who may share a set-aside: by rules, those whose cohort was checked for the year; else everybody."""
    if rulebook.rules_version(period.scheme, period.starts_on):
        return regimes.confirmed(operators.values(), period.year)
    return {operator.pk for operator in operators.values()}


def _named(inputs: engine.AllocationInputs) -> set[str]:
    """Return every operator that the inputs name."""
    return {
        *(claim.operator for claim in inputs.claims),
        *(need.operator for need in inputs.set_aside_needs),
        *(true_up.claim.operator for true_up in inputs.true_ups),
        *(standing.operator for standing in inputs.standings),
        *(application.operator for application in (inputs.new_entrants.applications if inputs.new_entrants else ())),
        *inputs.consigned,
    }


def _standing_faults(run: AllocationRun, inputs: engine.AllocationInputs) -> Iterator[Refused]:
    """List where inputs say another delivery or debt than the books; by the rules they are the books themselves."""
    if run.by_rules or (not inputs.standings and run.stage == Stage.INITIAL):
        return
    said = {standing.operator: standing for standing in inputs.standings}
    for data in allocation_data.operator_data(run.period):
        standing = said.get(data.operator, engine.Standing(data.operator))
        is_settled = standing.delivered == data.delivered and (standing.debt == data.debt or data.operator not in said)
        if not is_settled:
            yield Refused(
                "standing_differs",
                f"{data.operator} has had {data.delivered:,} permits of this cap and owes {data.debt:,}; "
                f"the inputs say {standing.delivered:,} and {standing.debt:,}.",
            )


def _settlement_faults(
    run: AllocationRun, inputs: engine.AllocationInputs, result: engine.AllocationResult
) -> Iterator[Refused]:
    """List where a settlement does not repeat the pools of its first stage, which it cannot move again."""
    if run.stage != Stage.SETTLEMENT:
        return
    first = _first_stage(run.period)
    if first is None:
        yield Refused("first_stage_missing", f"{run.period} has no executed first allocation that could be settled.")
        return
    before = engine.inputs_from_document(first.inputs)
    earlier = engine.allocate(before)
    for name, was, becomes in (
        ("set-aside pool", before.set_aside_pool, inputs.set_aside_pool),
        ("set-aside", earlier.set_aside_permits, result.set_aside_permits),
        ("new entrants' permits", earlier.new_entrant_permits, result.new_entrant_permits),
        ("reserves", before.kept, inputs.kept),
        ("next year's permits", earlier.next_year_permits, result.next_year_permits),
        ("cancelled permits", earlier.cancelled_permits, result.cancelled_permits),
    ):
        if was != becomes:
            yield Refused("pools_differ", f"The {name} came to {was:,} in the first stage and to {becomes:,} now.")


ACTS = (
    approvals.Act(
        name=RUN_ALLOCATION,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
