"""Verifying: keys, accreditations, appointments, checks, findings and the signed statement."""
