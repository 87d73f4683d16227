"""Allocation runs: worked out by the engine from frozen inputs, read by people as a draft, executed by approval."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import transaction
from django.db.models import Sum

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Refused, Unknown, require, require_none
from common.idempotency import derive_key
from registry.engine import allocation as engine
from registry.engine.rounding import exact, exact_text, floor_permits
from registry.models import ALLOCATION_RUN, AllocationLine, AllocationRun, Cap, Operator, Period, Scheme
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import cases, central, debts, regimes, rules, transactions

RUN_ALLOCATION = "registry.run_allocation"
RULES_VERSION = engine.RESULT_FORMAT
SET_ASIDE, COMBINED = "SET_ASIDE", "COMBINED"
"""Methods of a line beside the engine's own: the academic set-aside, and several methods for one operator."""

GRAMS_PER_TONNE = 1_000_000


def operator_key(operator: Operator) -> str:
    """Return the name by which the inputs know an operator: its account number, so that ties fall by account."""
    return operator.account.number


def permit_size(scheme: Scheme) -> Fraction:
    """Return how much one permit covers in the engine's base unit: FLOP, or tonnes of CO2e."""
    size = Fraction(scheme.unit_size)
    return size if scheme.metric == Scheme.Metric.FLOP else size / GRAMS_PER_TONNE


@transaction.atomic(durable=True)
def draft_run(*, actor: User, period: Period, inputs: engine.AllocationInputs, now: datetime) -> AllocationRun:
    """Work out an allocation and keep it as a draft with its frozen inputs, for people to read first."""
    regulator = regulator_of(actor)
    period = Period.objects.select_related("scheme").get(pk=period.pk)
    operators = {operator_key(operator): operator for operator in _operators(period.scheme)}
    require_none(list(_faults(period, inputs, operators)))
    result = engine.allocate(inputs)
    require_none([Refused(refusal.code, refusal.sentence) for refusal in result.refusals])
    run = AllocationRun.objects.create(
        period=period,
        inputs=engine.inputs_document(inputs),
        inputs_sha256=result.inputs_hash,
        rules_version=RULES_VERSION,
        cap=result.cap,
        free=result.free_permits,
        set_aside=result.set_aside_permits,
        auction=result.auction_permits,
        drafted_by=actor,
        drafted_at=now,
    )
    AllocationLine.objects.bulk_create(_lines(run, result, operators))
    audit.record(
        actor,
        "registry.allocation.drafted",
        run,
        at=now,
        organisation=regulator,
        period=period.code,
        inputs_sha256=run.inputs_sha256,
        free=run.free,
        set_aside=run.set_aside,
        auction=run.auction,
    )
    return run


def propose_run(*, actor: User, run: AllocationRun, now: datetime) -> Approval:
    """Propose to execute a draft; another officer approves exactly these inputs."""
    return approvals.propose(
        actor=actor,
        act=RUN_ALLOCATION,
        organisation=regulator_of(actor),
        summary=f"Allocate {run.free + run.set_aside:,} of {run.cap:,} permits of {run.period}, the rest to auction.",
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
    run = AllocationRun.objects.select_related("period").filter(pk=parameters["run"]).first()
    if run is None:
        raise Unknown("allocation_run_unknown", "There is no such allocation run. Check the address.")
    ALLOCATION_RUN.require(run.status, "executed")
    require(run.period.status == "open", "period_not_open", "Permits are allocated in an open period only.")
    require(
        not AllocationRun.objects.filter(period=run.period, status="executed").exists(),
        "allocated_already",
        f"{run.period} was allocated already.",
    )
    inputs = engine.inputs_from_document(run.inputs)
    same = engine.inputs_hash(inputs) == run.inputs_sha256 == parameters["inputs_sha256"]
    require(same, "allocation_inputs_differ", "The inputs are not the ones that were proposed. Draft the run again.")
    require(
        recomputed_lines(run) == stored_lines(run),
        "allocation_lines_differ",
        "The lines do not follow from the inputs by the present rules. Draft the run again.",
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Post every line in one journal: the free permits and the set-aside to operators, all the rest to auction."""
    period_id = AllocationRun.objects.values_list("period_id", flat=True).get(pk=approval.parameters["run"])
    Period.objects.select_for_update(no_key=True).get(pk=period_id)  # one allocation of a period at a time
    run = (
        AllocationRun.objects.select_for_update(of=("self",))
        .select_related("period__scheme")
        .get(pk=approval.parameters["run"])
    )
    _check(approval.parameters)  # under the lock: two runs may have been approved at once
    posted = transactions.move(
        moves=_moves(run),
        organisation=approval.organisation,
        journal="allocation",
        reference=f"allocation:{run.period.code}",
        actor=approval.decided_by,
        now=now,
        note=f"Inputs {run.inputs_sha256}",
        details={"run": str(run.pk)},
    )
    run.status, run.journal_id, run.executed_at = "executed", posted.journal_id, now
    run.save(update_fields=["status", "journal", "executed_at"])
    debts.settle_delivery(run.period, _delivered(run), now, run=run.pk)
    cases.escrow_contested(run.period, now)
    audit.record(
        approval.decided_by,
        "registry.allocation.executed",
        run,
        at=now,
        organisation=approval.organisation,
        period=run.period.code,
        inputs_sha256=run.inputs_sha256,
        lines=run.lines.count(),
    )
    return {"run": str(run.pk), "journal": posted.journal_id}


def _moves(run: AllocationRun) -> list[transactions.Move]:
    """Return the movements of a run. The set-aside passes through its own account, so that its use can be seen."""
    period = run.period
    total, auction = central.account(period, central.TOTAL).pk, central.account(period, central.AUCTION).pk
    set_aside = central.account(period, central.SET_ASIDE).pk
    pool = int(run.inputs["set_aside_pool"])
    steps: list[tuple[str, object, int, int, int]] = [("move_to_reserve", "set-aside", total, set_aside, pool)]
    for line in run.lines.select_related("operator").order_by("operator__account_id", "method"):
        source = set_aside if line.method == SET_ASIDE else total
        what = (line.operator_id, line.method)
        steps.append(("allocate", what, source, line.operator.account_id, line.quantity))
    steps.append(("release", "left over", set_aside, auction, pool - run.set_aside))
    steps.append(("release", "auction", total, auction, run.auction - (pool - run.set_aside)))
    return [
        transactions.Move(kind, derive_key("allocation", run.pk, what), debit, credit, period.permit_id, quantity)
        for kind, what, debit, credit, quantity in steps
        if quantity
    ]


def _delivered(run: AllocationRun) -> dict[uuid.UUID, int]:
    """Return how many permits each operator got."""
    sums = run.lines.order_by().values("operator_id").annotate(sum=Sum("quantity"))
    return {row["operator_id"]: row["sum"] for row in sums if row["sum"]}


def _lines(
    run: AllocationRun, result: engine.AllocationResult, operators: Mapping[str, Operator]
) -> Iterator[AllocationLine]:
    for key, line in _keyed_lines(run, result):
        line.operator = operators[key]
        yield line


def _keyed_lines(run: AllocationRun, result: engine.AllocationResult) -> Iterator[tuple[str, AllocationLine]]:
    """Turn the engine's awards into lines: one for the free permits of an operator, one for its set-aside."""
    for award in result.awards:
        claims = [engine.line_document(line) for line in result.lines if line.operator == award.operator]
        if claims:
            methods = {str(claim["method"]) for claim in claims}
            yield (
                award.operator,
                AllocationLine(
                    run=run,
                    method=methods.pop() if len(methods) == 1 else COMBINED,
                    figures={
                        "claims": claims,
                        "claimed_permits": exact_text(award.claimed_permits),
                        "correction_factor": exact_text(result.correction_factor),
                        "corrected_permits": exact_text(award.corrected_permits),
                        "remainder": exact_text(award.remainder),
                    },
                    claim=floor_permits(award.claimed_permits).permits,
                    quantity=award.free_permits,
                ),
            )
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


def _operators(scheme: Scheme) -> list[Operator]:
    return list(Operator.objects.filter(scheme=scheme).select_related("account", "organisation"))


def _faults(period: Period, inputs: engine.AllocationInputs, operators: Mapping[str, Operator]) -> Iterator[Refused]:
    """List where the inputs do not describe this period."""
    scheme = period.scheme
    cap = Cap.objects.filter(period=period).order_by("-version").first()
    if period.status != "open" or cap is None:
        yield Refused("period_not_open", f"{period} is not open: publish its cap first.")
    elif inputs.cap != cap.quantity:
        yield Refused("cap_differs", f"The inputs divide {inputs.cap:,} permits; the cap is {cap.quantity:,}.")
    if (inputs.scheme, inputs.period, inputs.metric) != (scheme.code, period.code, scheme.metric):
        yield Refused("inputs_of_another_period", f"The inputs name another scheme, period or metric than {period}.")
    if exact(inputs.permit_size) != permit_size(scheme):
        yield Refused(
            "permit_size_differs", f"A permit of {scheme} covers {exact_text(permit_size(scheme))} base units."
        )
    for key in sorted({claim.operator for claim in inputs.claims} - operators.keys()):
        yield Refused("operator_unknown", f"{key} is not the account of an operator of {scheme}.")
    confirmed = _confirmed(period, operators)
    for need in inputs.set_aside_needs:
        operator = operators.get(need.operator)
        if operator is None:
            yield Refused("operator_unknown", f"{need.operator} is not the account of an operator of {scheme}.")
        elif operator.cohort != need.cohort:
            yield Refused("cohort_differs", f"{need.operator} is in the cohort {operator.cohort}, not {need.cohort}.")
        elif operator.pk not in confirmed:
            yield Refused(
                "cohort_not_checked",
                f"{operator.organisation} was not confirmed as {need.cohort} for {period.year}. Check it first.",
            )


def _confirmed(period: Period, operators: Mapping[str, Operator]) -> set[uuid.UUID]:
    """Return who may share a set-aside: by rules, those whose cohort was checked for the year; else everybody."""
    if rules.rules_version(period.scheme, period.starts_on):
        return regimes.confirmed(operators.values(), period.year)
    return {operator.pk for operator in operators.values()}


ACTS = (
    approvals.Act(
        name=RUN_ALLOCATION,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
