"""Addresses of the registry under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from registry.api import (
    access,
    accounts,
    allocations,
    bulk,
    calculators,
    calendar,
    cases,
    compliance,
    drafts,
    efficiency,
    green,
    grid,
    holdings,
    meters,
    monitoring,
    reports,
    rules,
    runs,
    schemes,
    serving,
    transactions,
    transfers,
    verifying,
)

router = SimpleRouter(use_regex_path=False)
router.register("schemes", schemes.Schemes, "scheme")
router.register("periods", schemes.Periods, "period")
router.register("allocations", allocations.Allocations, "allocation")
router.register("runs", runs.Runs, "run")
router.register("accounts", holdings.Accounts, "account")
router.register("holdings", holdings.Holdings, "holding")
router.register("groups", accounts.Groups, "group")
router.register("freezes", accounts.Freezes, "freeze")
router.register("serial-freezes", accounts.SerialFreezes, "serial-freeze")
router.register("compliance", compliance.Letters, "letter")
router.register("obligations", compliance.Obligations, "obligation")
router.register("sanctions", compliance.Sanctions, "sanction")
router.register("debts", cases.Debts, "debt")
router.register("tariffs", green.Tariffs, "tariff")
router.register("avoided-emissions", green.PublishedClaims, "published-claim")
router.register("published-measures", efficiency.PublishedMeasures, "published-measure")
router.register("labels", efficiency.Labels, "efficiency-label")
router.register("access-programmes", access.Programmes, "access-programme")
router.register("access-awards", access.Awards, "access-award")

urlpatterns = [
    path("leagues/", efficiency.Leagues.as_view({"get": "index"}), name="league-list"),
    path("leagues/<slug:slug>/", efficiency.Leagues.as_view({"get": "read"}), name="league-detail"),
    path("measures/", efficiency.Measures.as_view({"get": "list", "post": "create"}), name="measure-list"),
    path("measures/<uuid:pk>/", efficiency.Measures.as_view({"get": "retrieve"}), name="measure-detail"),
    path(
        "access-applications/",
        access.Applications.as_view({"get": "list", "post": "create"}),
        name="access-application-list",
    ),
    path(
        "access-applications/<uuid:pk>/",
        access.Applications.as_view({"get": "retrieve"}),
        name="access-application-detail",
    ),
    path("meter-projects/", meters.MeterProjects.as_view({"get": "list"}), name="meter-project-list"),
    path("meter-projects/<uuid:pk>/", meters.MeterProjects.as_view({"get": "retrieve"}), name="meter-project-detail"),
    path("meter-experiments/", meters.MeterExperiments.as_view({"get": "list"}), name="meter-experiment-list"),
    path(
        "meter-experiments/<uuid:pk>/",
        meters.MeterExperiments.as_view({"get": "retrieve"}),
        name="meter-experiment-detail",
    ),
    path("meter-runs/", meters.MeterRuns.as_view({"get": "list"}), name="meter-run-list"),
    path("meter-runs/<uuid:pk>/", meters.MeterRuns.as_view({"get": "retrieve"}), name="meter-run-detail"),
    path("factor-sets/", grid.FactorSets.as_view({"get": "list"}), name="factor-set-list"),
    path(
        "factor-sets/<slug:code>/v<int:version>/hours/",
        grid.FactorHours.as_view({"get": "list"}),
        name="factor-hour-list",
    ),
    path("intensities/", grid.IntensitySeriesView.as_view({"get": "read"}), name="intensity-series"),
    path(
        "serving-batches/",
        serving.ServingBatches.as_view({"get": "list", "post": "create"}),
        name="serving-batch-list",
    ),
    path("serving-batches/csv/", serving.ServingFiles.as_view({"post": "create"}), name="serving-batch-csv"),
    path("serving-records/", serving.ServingRecords.as_view({"get": "list"}), name="serving-record-list"),
    path("serving-figures/", serving.ServingFigures.as_view({"get": "read"}), name="serving-figure-list"),
    path(
        "transactions/",
        transactions.Transactions.as_view({"get": "list", "post": "create"}),
        name="transaction-list",
    ),
    path("transactions/<uuid:pk>/", transactions.Transactions.as_view({"get": "retrieve"}), name="transaction-detail"),
    path(
        "transactions/<uuid:pk>/cancel/",
        transactions.Transactions.as_view({"post": "cancel"}),
        name="transaction-cancellation",
    ),
    path(
        "transactions/<uuid:pk>/reverse/",
        transactions.Transactions.as_view({"post": "reverse"}),
        name="transaction-reversal",
    ),
    path(
        "transactions/<uuid:pk>/confirm/",
        transactions.Transactions.as_view({"post": "confirm"}),
        name="transaction-confirmation",
    ),
    path(
        "trusted-accounts/",
        transactions.TrustedAccounts.as_view({"get": "list", "post": "create"}),
        name="trusted-account-list",
    ),
    path(
        "trusted-accounts/<uuid:pk>/",
        transactions.TrustedAccounts.as_view({"delete": "destroy"}),
        name="trusted-account-detail",
    ),
    path("certificates/<uuid:pk>/", transactions.Certificates.as_view({"get": "read"}), name="certificate-detail"),
    path("transfers/", transfers.Transfers.as_view({"get": "list", "post": "create"}), name="transfer-list"),
    path("transfers/bulk/", bulk.BulkTransfers.as_view({"post": "create"}), name="transfer-bulk"),
    path("surrenders/bulk/", bulk.BulkSurrenders.as_view({"post": "create"}), name="surrender-bulk"),
    path("surrenders/", compliance.Surrenders.as_view({"get": "list", "post": "create"}), name="surrender-list"),
    path("cases/", cases.Cases.as_view({"get": "list", "post": "create"}), name="case-list"),
    path("cases/<uuid:pk>/", cases.Cases.as_view({"get": "retrieve"}), name="case-detail"),
    path("serials/", accounts.Serials.as_view({"get": "read"}), name="serial"),
    path("statements/", transfers.Statements.as_view({"get": "read"}), name="statement"),
    path("forecasts/", green.Forecasts.as_view({"get": "list", "post": "create"}), name="forecast-list"),
    path("flex-events/", green.FlexEvents.as_view({"get": "list", "post": "create"}), name="flex-event-list"),
    path("avoided-claims/", green.Claims.as_view({"get": "list", "post": "create"}), name="avoided-claim-list"),
    path("avoided-claims/<uuid:pk>/", green.Claims.as_view({"get": "retrieve"}), name="avoided-claim-detail"),
    path("avoided-claims/<uuid:pk>/inputs/", green.Claims.as_view({"get": "inputs"}), name="avoided-claim-inputs"),
    path(
        "avoided-claims/<uuid:pk>/unsigned/", green.Claims.as_view({"get": "unsigned"}), name="avoided-claim-unsigned"
    ),
    path("avoided-claims/<uuid:pk>/submit/", green.Claims.as_view({"post": "submit"}), name="avoided-claim-submission"),
    path("avoided-claims/<uuid:pk>/attest/", green.Claims.as_view({"post": "attest"}), name="avoided-claim-statement"),
    path(
        "avoided-claims/<uuid:pk>/publish/", green.Claims.as_view({"post": "publish"}), name="avoided-claim-publication"
    ),
    path(
        "avoided-claims/<uuid:pk>/withdraw/",
        green.Claims.as_view({"post": "withdraw"}),
        name="avoided-claim-withdrawal",
    ),
    path("calculators/", calculators.Calculators.as_view({"get": "index"}), name="calculator-list"),
    path(
        "calculators/<slug:name>/",
        calculators.Calculators.as_view({"get": "read", "post": "work_out"}),
        name="calculator-result",
    ),
    path("planning/", green.Planning.as_view({"get": "read"}), name="green-plan"),
    path("planning/sensitivity/", green.Planning.as_view({"get": "sensitivity"}), name="green-plan-sensitivity"),
    path("planning/places/", green.Planning.as_view({"get": "places"}), name="green-plan-places"),
    path("reports/", reports.Reports.as_view({"get": "list", "post": "create"}), name="report-list"),
    path("reports/codecarbon/", reports.CodeCarbonFiles.as_view({"post": "create"}), name="report-codecarbon"),
    path("reports/<uuid:pk>/", reports.Reports.as_view({"get": "retrieve"}), name="report-detail"),
    path("sites/", monitoring.Sites.as_view({"get": "list", "post": "create"}), name="site-list"),
    path("sites/<uuid:pk>/", monitoring.Sites.as_view({"get": "retrieve"}), name="site-detail"),
    path("systems/", monitoring.Systems.as_view({"get": "list", "post": "create"}), name="system-list"),
    path("systems/<uuid:pk>/", monitoring.Systems.as_view({"get": "retrieve"}), name="system-detail"),
    path("models/", monitoring.AiModels.as_view({"get": "list", "post": "create"}), name="model-list"),
    path("models/<uuid:pk>/", monitoring.AiModels.as_view({"get": "retrieve"}), name="model-detail"),
    path("workloads/", monitoring.Workloads.as_view({"get": "list", "post": "create"}), name="workload-list"),
    path("workloads/<uuid:pk>/", monitoring.Workloads.as_view({"get": "retrieve"}), name="workload-detail"),
    path("plans/", monitoring.Plans.as_view({"get": "list", "post": "create"}), name="plan-list"),
    path("plans/<uuid:pk>/", monitoring.Plans.as_view({"get": "retrieve"}), name="plan-detail"),
    path("plans/<uuid:pk>/submit/", monitoring.Plans.as_view({"post": "submit"}), name="plan-submission"),
    path("plans/<uuid:pk>/discard/", monitoring.Plans.as_view({"post": "discard"}), name="plan-withdrawal"),
    path("plans/<uuid:pk>/decide/", monitoring.Plans.as_view({"post": "decide"}), name="plan-decision"),
    path("runs/<uuid:pk>/document/", runs.RunDocuments.as_view({"get": "read"}), name="run-document"),
    path(
        "allocations/<uuid:pk>/lines/",
        allocations.AllocationLines.as_view({"get": "list"}),
        name="allocation-lines",
    ),
    path(
        "allocations/<uuid:pk>/inputs/",
        allocations.AllocationInputs.as_view({"get": "read"}),
        name="allocation-inputs",
    ),
    path("drafts/", drafts.Drafts.as_view({"get": "list", "post": "create"}), name="draft-list"),
    path("drafts/<uuid:pk>/", drafts.Drafts.as_view({"get": "retrieve", "delete": "destroy"}), name="draft-detail"),
    path("drafts/<uuid:pk>/uploads/", drafts.DraftUploads.as_view({"post": "create"}), name="draft-uploads"),
    path("drafts/<uuid:pk>/filing/", drafts.DraftFiling.as_view({"post": "create"}), name="draft-filing"),
    path("uploads/<uuid:pk>/", drafts.Uploads.as_view({"get": "retrieve", "delete": "destroy"}), name="upload-detail"),
    path("reports/<uuid:pk>/evidence/", reports.ReportEvidence.as_view({"get": "read"}), name="report-evidence"),
    path("reports/<uuid:pk>/verification/", verifying.Verifications.as_view({"post": "begin"}), name="report-begin"),
    path(
        "reports/<uuid:pk>/checklist/",
        verifying.Checklists.as_view({"get": "read", "post": "create"}),
        name="report-checklist",
    ),
    path(
        "reports/<uuid:pk>/findings/",
        verifying.ReportFindings.as_view({"get": "read", "post": "create"}),
        name="report-findings",
    ),
    path(
        "reports/<uuid:pk>/statement/",
        verifying.ReportStatements.as_view({"get": "read", "post": "create"}),
        name="report-statement",
    ),
    path(
        "reports/<uuid:pk>/statement/unsigned/",
        verifying.ReportStatements.as_view({"get": "unsigned"}),
        name="report-unsigned",
    ),
    path("findings/<uuid:pk>/answer/", verifying.Findings.as_view({"post": "answer"}), name="finding-answer"),
    path("findings/<uuid:pk>/close/", verifying.Findings.as_view({"post": "close"}), name="finding-close"),
    path("findings/<uuid:pk>/reopen/", verifying.Findings.as_view({"post": "reopen"}), name="finding-reopen"),
    path(
        "appointments/",
        verifying.Appointments.as_view({"get": "list", "post": "create"}),
        name="appointment-list",
    ),
    path("appointments/<uuid:pk>/", verifying.Appointments.as_view({"get": "retrieve"}), name="appointment-detail"),
    path(
        "appointments/<uuid:pk>/accept/",
        verifying.Appointments.as_view({"post": "accept"}),
        name="appointment-acceptance",
    ),
    path(
        "appointments/<uuid:pk>/decline/",
        verifying.Appointments.as_view({"post": "decline"}),
        name="appointment-refusal",
    ),
    path(
        "appointments/<uuid:pk>/cancel/",
        verifying.Appointments.as_view({"post": "cancel"}),
        name="appointment-cancellation",
    ),
    path(
        "appointments/<uuid:pk>/end/", verifying.Appointments.as_view({"post": "end"}), name="appointment-termination"
    ),
    path("signing-keys/", verifying.SigningKeys.as_view({"get": "list", "post": "create"}), name="signing-key-list"),
    path(
        "signing-keys/<uuid:pk>/revoke/",
        verifying.SigningKeys.as_view({"post": "revoke"}),
        name="signing-key-revocation",
    ),
    path("reports/<uuid:pk>/lines/", reports.ReportLines.as_view({"get": "list"}), name="report-lines"),
    path(
        "schemes/<slug:code>/calendar/",
        calendar.SchemeCalendar.as_view({"get": "list"}),
        name="calendar-event-list",
    ),
    path("schemes/<slug:code>/rules/", rules.Rules.as_view({"get": "read"}), name="scheme-rules"),
    path("schemes/<slug:code>/rules/document/", rules.Rules.as_view({"get": "document"}), name="scheme-rules-document"),
    path("schemes/<slug:code>/rules/schema/", rules.Rules.as_view({"get": "describe"}), name="scheme-rules-schema"),
    path(
        "schemes/<slug:code>/rules/changes/",
        rules.RuleChanges.as_view({"get": "list", "post": "create"}),
        name="rule-change-list",
    ),
    path("", include(router.urls)),
]
