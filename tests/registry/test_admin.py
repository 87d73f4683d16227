"""The admin: those who oversee look at everything, nobody edits anything, and each act calls its service."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.sites import site
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.looking import LookOnlyAdmin
from accounts.models import Approval, Organisation, User
from registry.engine.allocation import inputs_document
from registry.models import AllocationRun, Operator, Period, Scheme
from tests import cast
from tests.cast import Clock, Party, Regulator

MODELS = sorted(site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def officer(regulator: Regulator, clock: Clock) -> Client:
    """A browser in which the desk officer is logged in."""
    return logged_in(regulator.desk)


@pytest.fixture
def senior(regulator: Regulator, clock: Clock) -> Client:
    """A browser in which the senior officer is logged in."""
    return logged_in(regulator.senior)


def logged_in(user: User) -> Client:
    """Return a browser in which somebody is logged in who may open the admin."""
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, row: Model | type[Model], slug: str, **answers: object) -> Any:
    """Open an act's form and send answers to it."""
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_act"
    address = reverse(name, args=[row.pk, slug]) if isinstance(row, Model) else reverse(f"{name}_list", args=[slug])
    assert client.get(address).status_code == 200
    return client.post(address, {"key": str(cast.key()), **answers})


def errors(response: Any) -> set[str]:
    """Return the codes of a form's errors."""
    assert response.status_code == 422
    found: Iterator[str] = (
        error.code for errors in response.context["form"].errors.as_data().values() for error in errors
    )
    return set(found)


def test_what_is_measured_is_looked_at_too() -> None:
    tables = {
        "site",
        "monitoringplan",
        "factorset",
        "servingbatch",
        "meterproject",
        "meterrun",
        "tariff",
        "avoidedclaim",
    }

    assert tables <= {model._meta.model_name for model in MODELS}


class TestLooking:
    """Who may look, and that looking is all."""

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
    def test_every_list_can_be_looked_at(self, officer: Client, period: Period, model: type[Model]) -> None:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

        listed = officer.get(reverse(f"{name}_changelist"))

        assert listed.status_code == 200
        row = model._default_manager.first()
        if row is not None:
            shown = officer.get(reverse(f"{name}_change", args=[row.pk]))
            assert shown.status_code == 200
            assert b'name="_save"' not in shown.content

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
    def test_nothing_can_be_edited_even_by_a_superuser(
        self, regulator: Regulator, period: Period, model: type[Model]
    ) -> None:
        regulator.senior.is_superuser = True
        root = logged_in(regulator.senior)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.first()

        assert root.post(reverse(f"{name}_add"), {}).status_code == 403
        if row is not None:
            assert root.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
            assert root.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
            assert model._default_manager.filter(pk=row.pk).exists()

    def test_every_registered_model_is_look_only(self) -> None:
        assert MODELS
        assert all(isinstance(site._registry[model], LookOnlyAdmin) for model in MODELS)

    def test_a_model_that_could_be_edited_is_left_out(self) -> None:
        class Editable(admin.ModelAdmin):  # type: ignore[type-arg]
            pass

        before = set(site._registry)
        site.register(Scheme, Editable)

        assert set(site._registry) == before
        assert isinstance(site._registry[Scheme], LookOnlyAdmin)

    @pytest.mark.parametrize("name", ["initiator", "approver"])
    def test_a_firms_person_sees_nothing(self, acme: Party, name: str) -> None:
        client = logged_in(getattr(acme, name))

        assert client.get(reverse("admin:registry_scheme_changelist"), follow=True).status_code == 403
        assert client.get(reverse("admin:registry_scheme_act_list", args=["create"]), follow=True).status_code == 403

    def test_auditors_look(self, auditor: Party, period: Period) -> None:
        assert logged_in(auditor.auditor).get(reverse("admin:ledger_transfer_changelist")).status_code == 200

    def test_strangers_are_sent_to_the_sites_own_log_in(self, db: None) -> None:
        response = Client().get(reverse("admin:login"))

        assert response.status_code == 302
        assert response.url.startswith(reverse("account_login"))  # type: ignore[attr-defined]

    def test_password_hashes_are_not_shown(self, officer: Client, regulator: Regulator) -> None:
        regulator.desk.set_password("a long and secret sentence")
        regulator.desk.save()
        officer.force_login(regulator.desk)

        page = officer.get(reverse("admin:accounts_user_change", args=[regulator.desk.pk]))

        assert b"argon2" not in page.content


class TestActs:
    """From a scheme to an executed allocation, without leaving the admin."""

    def test_a_period_is_brought_into_force_by_two_officers(self, officer: Client, senior: Client, acme: Party) -> None:
        created = act(
            officer, Scheme, "create", code="ai-co2e", name="Emissions", metric="co2e", unit_size="1000000",
            currency="eur", zone="Europe/Berlin", large_transfer="1000", sanction="100.00",
        )  # fmt: skip
        scheme = Scheme.objects.get(code="ai-co2e")
        assert created.url == reverse("admin:registry_scheme_change", args=[scheme.pk])
        assert scheme.sanction_minor == 10_000

        act(officer, scheme, "enrol", organisation=acme.organisation.pk, cohort="large", first_year="2026")
        act(
            officer, scheme, "open-period", year="2026", starts_on="2026-01-01", ends_on="2026-12-31",
            report_due_on="2027-03-31", surrender_due_on="2027-09-30",
        )  # fmt: skip
        period = Period.objects.get(scheme=scheme)

        proposed = act(officer, period, "propose-cap", quantity="5000")
        approval = Approval.objects.get(act="registry.publish_cap", parameters__period=str(period.pk))
        assert proposed.url == reverse("admin:accounts_approval_change", args=[approval.pk])
        act(senior, approval, "approve")

        period.refresh_from_db()
        assert (period.status, period.caps.get().quantity) == ("open", 5_000)

    def test_an_allocation_is_drafted_from_its_document_and_proposed(
        self, officer: Client, senior: Client, acme: Party, capped_period: Period, tmp_path: Any
    ) -> None:
        assert acme.operator is not None
        document = tmp_path / "inputs.json"
        document.write_text(json.dumps(inputs_document(cast.allocation_inputs(capped_period, {acme.operator: 400}))))

        with document.open("rb") as sent:
            act(officer, capped_period, "draft-allocation", document=sent)
        run = AllocationRun.objects.get()
        act(officer, run, "propose")
        act(senior, Approval.objects.get(act="registry.run_allocation"), "approve")

        run.refresh_from_db()
        assert (run.status, run.free, run.auction) == ("executed", 400, cast.CAP - 400)

    def test_a_draft_allocation_is_discarded(self, officer: Client, acme: Party, period: Period) -> None:
        run = AllocationRun.objects.get()

        refused = act(officer, run, "discard")

        assert errors(refused) == {"allocation_run_not_executed_to_discarded"}

    def test_cash_is_recorded_by_two(self, officer: Client, senior: Client, acme: Party) -> None:
        assert acme.operator is not None

        act(officer, acme.operator, "deposit", amount="250.40", reference="statement 7")
        act(senior, Approval.objects.get(act="registry.record_deposit"), "approve")
        act(officer, acme.operator, "withdrawal", amount="50.00", reference="order 1")
        withdrawal = Approval.objects.get(act="registry.record_withdrawal")
        act(senior, withdrawal, "reject", reason="Not yet.")

        withdrawal.refresh_from_db()
        assert (withdrawal.status, withdrawal.reason) == ("rejected", "Not yet.")

    def test_a_refusal_stands_in_the_form(self, officer: Client, scheme: Scheme) -> None:
        response = act(
            officer, scheme, "open-period", year="2026", starts_on="2026-12-31", ends_on="2026-01-01",
            report_due_on="2027-03-31", surrender_due_on="2027-03-30",
        )  # fmt: skip

        assert errors(response) == {"period_ends_before_it_starts", "surrender_due_too_early"}
        assert set(response.context["form"].errors) == {"ends_on", "surrender_due_on"}
        assert not Period.objects.exists()

    def test_ones_own_proposal_is_refused_in_the_form(self, senior: Client, draft_period: Period) -> None:
        act(senior, draft_period, "propose-cap", quantity="5000")

        refused = act(senior, Approval.objects.get(), "approve")

        assert errors(refused) == {"second_person_needed"}

    def test_who_may_only_look_is_turned_away_by_the_service(self, auditor: Party, draft_period: Period) -> None:
        refused = act(logged_in(auditor.auditor), draft_period, "propose-cap", quantity="5000")

        assert refused.status_code == 403
        assert not Approval.objects.exists()

    def test_acts_are_offered_where_they_make_sense(self, officer: Client, period: Period) -> None:
        page = officer.get(reverse("admin:registry_period_change", args=[period.pk])).content.decode()

        assert "Draft an allocation" in page
        assert "Propose the cap" not in page

    def test_organisations_and_roles(self, senior: Client, regulator: Regulator) -> None:
        act(senior, Organisation, "open", name="Dunlin", kind="firm")
        dunlin = Organisation.objects.get(name="Dunlin")
        dora = cast.person("Dora")
        assert errors(act(senior, dunlin, "grant-role", user=dora.pk, role="verifier")) == {"role_not_for_this_kind"}

        act(senior, dunlin, "grant-role", user=dora.pk, role="trader")
        act(senior, dora.memberships.get(), "end")
        act(senior, dunlin, "change-status", status="suspended", reason="Unclear owners.")

        dunlin.refresh_from_db()
        assert (dunlin.status, dora.memberships.get().ended_at is not None) == ("suspended", True)

    def test_a_year_is_excluded(self, officer: Client, clock: Clock, acme: Party) -> None:
        clock.move_to(cast.REPORTING)

        act(officer, acme.operator, "exclude-year", year=str(cast.YEAR), reason="Mothballed.")  # type: ignore[arg-type]

        assert Operator.objects.get().excluded_years == [cast.YEAR]

    @pytest.mark.parametrize("slug", ["approve", "nothing-of-the-kind"])
    def test_an_act_that_does_not_exist_is_not_found(self, officer: Client, scheme: Scheme, slug: str) -> None:
        assert officer.get(reverse("admin:registry_scheme_act", args=[scheme.pk, slug])).status_code == 404


def test_bulk_actions_do_not_exist(officer: Client, rf: RequestFactory, regulator: Regulator) -> None:
    request = rf.get("/")
    request.user = regulator.desk

    assert all(not site._registry[model].get_actions(request) for model in MODELS)
