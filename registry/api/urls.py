"""Addresses of the registry under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from registry.api import (
    accounts,
    allocations,
    bulk,
    calendar,
    cases,
    compliance,
    holdings,
    reports,
    rules,
    runs,
    schemes,
    transactions,
    transfers,
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

urlpatterns = [
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
    path("reports/", reports.Reports.as_view({"get": "list", "post": "create"}), name="report-list"),
    path("reports/codecarbon/", reports.CodeCarbonFiles.as_view({"post": "create"}), name="report-codecarbon"),
    path("reports/<uuid:pk>/", reports.Reports.as_view({"get": "retrieve"}), name="report-detail"),
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
    path("reports/<uuid:pk>/evidence/", reports.ReportEvidence.as_view({"get": "read"}), name="report-evidence"),
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
