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
from registry.models.operator import HolderChange, Operator
from registry.models.report import REPORT, EvidenceFile, Report, ReportLine, VerifierStatement
from registry.models.rule import Rule, RuleChange
from registry.models.run import PublishedRun
from registry.models.scheme import PERIOD, Cap, Period, Scheme
from registry.models.transaction import TRANSACTION, Transaction
from registry.models.year import DUE_WORK, OBLIGATION, DueWork, Extension, ObligationEvent, Outage, Suspension

__all__ = [
    "ALLOCATION_RUN",
    "CASE",
    "DUE_WORK",
    "ENFORCEMENT",
    "GRADE",
    "IDENTITY",
    "LIMIT_BREACH",
    "OBLIGATION",
    "PERIOD",
    "REPORT",
    "SANCTION",
    "TRANSACTION",
    "TRUST",
    "AccountTerms",
    "AllocationFigure",
    "AllocationLine",
    "AllocationRun",
    "AllocationTable",
    "Cap",
    "Case",
    "CohortCheck",
    "ComplianceRecord",
    "DebtEntry",
    "DueWork",
    "Enforcement",
    "EvidenceFile",
    "Extension",
    "Freeze",
    "Group",
    "GroupMember",
    "HolderChange",
    "IdentityDocument",
    "LetterRemoval",
    "LimitBreach",
    "Obligation",
    "ObligationEvent",
    "Operator",
    "Outage",
    "Period",
    "PublishedRun",
    "RegimeStatus",
    "Report",
    "ReportLine",
    "Rule",
    "RuleChange",
    "Sanction",
    "Scheme",
    "SerialFreeze",
    "Surrender",
    "Suspension",
    "Transaction",
    "TrustedAccount",
    "VerifierStatement",
]
