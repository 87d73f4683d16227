"""Runs that CodeCarbon clients report while they measure, and their way into the draft of a report."""
