"""Every change to people, organisations, approvals and the audit trail."""
