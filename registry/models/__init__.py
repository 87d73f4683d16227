"""The tables of the registry: schemes and their periods, operators, allocation, reports, and compliance."""

from registry.models.allocation import ALLOCATION_RUN, AllocationLine, AllocationRun
from registry.models.compliance import ComplianceRecord, Obligation, Sanction, Surrender
from registry.models.operator import Operator
from registry.models.report import REPORT, EvidenceFile, Report, ReportLine, VerifierStatement
from registry.models.scheme import PERIOD, Cap, Period, Scheme

__all__ = [
    "ALLOCATION_RUN",
    "PERIOD",
    "REPORT",
    "AllocationLine",
    "AllocationRun",
    "Cap",
    "ComplianceRecord",
    "EvidenceFile",
    "Obligation",
    "Operator",
    "Period",
    "Report",
    "ReportLine",
    "Sanction",
    "Scheme",
    "Surrender",
    "VerifierStatement",
]
