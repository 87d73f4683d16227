"""The tables of the registry: schemes and their rules, operators and accounts, transactions, reports, and the year."""

from registry.models.account import (
    GRADE,
    IDENTITY,
    LIMIT_BREACH,
    TRUST,
    AccountTerms,
    Freeze,
    Group,
    GroupMember,
    IdentityDocument,
    LimitBreach,
    SerialFreeze,
    TrustedAccount,
)
from registry.models.allocation import ALLOCATION_RUN, AllocationLine, AllocationRun
from registry.models.allocation_data import AllocationFigure, AllocationTable
from registry.models.case import CASE, ENFORCEMENT, Case, CohortCheck, DebtEntry, Enforcement, RegimeStatus
from registry.models.compliance import SANCTION, ComplianceRecord, LetterRemoval, Obligation, Sanction, Surrender
from registry.models.draft import DRAFT, UPLOAD, Draft, DraftLine, Upload
from registry.models.grid import AnnualIntensity, FactorSet, HourlyIntensity
from registry.models.metering import MeterExperiment, MeterProject, MeterReading, MeterRun, ProjectToken
from registry.models.operator import HolderChange, Operator
from registry.models.plan import PLAN, MonitoringPlan
from registry.models.report import (
    AWAITS_OPINION,
    REPORT,
    EvidenceFile,
    Report,
    ReportFile,
    ReportLine,
    VerifierStatement,
)
from registry.models.rule import Rule, RuleChange
from registry.models.run import PublishedRun
from registry.models.scheme import PERIOD, Cap, Period, Scheme
from registry.models.serving import ServingBatch, ServingCalculation, ServingRecord
from registry.models.site import AiModel, Site, SitePue, System, SystemEvidence, Workload
from registry.models.transaction import TRANSACTION, Transaction
from registry.models.year import DUE_WORK, OBLIGATION, DueWork, Extension, ObligationEvent, Outage, Suspension

__all__ = [
    "ALLOCATION_RUN",
    "AWAITS_OPINION",
    "CASE",
    "DRAFT",
    "DUE_WORK",
    "ENFORCEMENT",
    "GRADE",
    "IDENTITY",
    "LIMIT_BREACH",
    "OBLIGATION",
    "PERIOD",
    "PLAN",
    "REPORT",
    "SANCTION",
    "TRANSACTION",
    "TRUST",
    "UPLOAD",
    "AccountTerms",
    "AiModel",
    "AllocationFigure",
    "AllocationLine",
    "AllocationRun",
    "AllocationTable",
    "AnnualIntensity",
    "Cap",
    "Case",
    "CohortCheck",
    "ComplianceRecord",
    "DebtEntry",
    "Draft",
    "DraftLine",
    "DueWork",
    "Enforcement",
    "EvidenceFile",
    "Extension",
    "FactorSet",
    "Freeze",
    "Group",
    "GroupMember",
    "HolderChange",
    "HourlyIntensity",
    "IdentityDocument",
    "LetterRemoval",
    "LimitBreach",
    "MeterExperiment",
    "MeterProject",
    "MeterReading",
    "MeterRun",
    "MonitoringPlan",
    "Obligation",
    "ObligationEvent",
    "Operator",
    "Outage",
    "Period",
    "ProjectToken",
    "PublishedRun",
    "RegimeStatus",
    "Report",
    "ReportFile",
    "ReportLine",
    "Rule",
    "RuleChange",
    "Sanction",
    "Scheme",
    "SerialFreeze",
    "ServingBatch",
    "ServingCalculation",
    "ServingRecord",
    "Site",
    "SitePue",
    "Surrender",
    "Suspension",
    "System",
    "SystemEvidence",
    "Transaction",
    "TrustedAccount",
    "Upload",
    "VerifierStatement",
    "Workload",
]
