"""Addresses of the registry's pages."""

from django.urls import path

from registry.views import compliance, desk, holdings, reports

urlpatterns = [
    path("holdings/", holdings.holding_list, name="holdings"),
    path("holdings/<slug:number>/<slug:asset_code>/", holdings.statement, name="account-statement"),
    path(
        "holdings/<slug:number>/<slug:asset_code>/statement.csv",
        holdings.statement_file,
        {"kind": "csv"},
        name="statement-csv",
    ),
    path(
        "holdings/<slug:number>/<slug:asset_code>/statement.json",
        holdings.statement_file,
        {"kind": "json"},
        name="statement-json",
    ),
    path("transfers/new/", holdings.transfer, name="transfer"),
    path("reports/", reports.report_list, name="reports"),
    path("reports/new/", reports.new_report, name="report-new"),
    path("reports/new/file/", reports.file_report, name="report-file"),
    path("reports/new/published/", reports.published_report, name="report-published"),
    path("reports/new/lines/", reports.type_report, name="report-typed"),
    path("reports/<uuid:report_id>/", reports.report_detail, name="report"),
    path("reports/<uuid:report_id>/evidence/", reports.report_evidence, name="evidence"),
    path("reports/<uuid:report_id>/verify/", reports.verify_report, name="report-verify"),
    path("reports/<uuid:report_id>/return/", reports.return_report, name="report-return"),
    path("compliance/", compliance.compliance_list, name="compliance"),
    path("compliance/<slug:code>/", compliance.compliance_period, name="compliance-period"),
    path("compliance/<slug:code>/surrender/", compliance.surrender, name="surrender"),
    path("compliance/<slug:code>/standing/", compliance.standing_instruction, name="standing-instruction"),
    path("desk/", desk.desk, name="desk"),
    path("desk/periods/<slug:code>/", desk.period, name="desk-period"),
    path("desk/periods/<slug:code>/cap/", desk.propose_cap, name="propose-cap"),
    path("desk/periods/<slug:code>/allocation/", desk.draft_allocation, name="allocation-new"),
    path("desk/periods/<slug:code>/estimates/<uuid:operator_id>/", desk.estimate, name="estimate"),
    path("desk/allocations/<uuid:run_id>/", desk.allocation_run, name="allocation-run"),
    path("desk/allocations/<uuid:run_id>/inputs/", desk.allocation_inputs, name="run-inputs"),
    path("desk/allocations/<uuid:run_id>/propose/", desk.propose_allocation, name="allocation-propose"),
    path("desk/allocations/<uuid:run_id>/discard/", desk.discard_allocation, name="allocation-discard"),
]
