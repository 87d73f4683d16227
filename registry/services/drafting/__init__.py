"""Drafting: from files, meters and typed lines to a filed report. `drafts` says how a draft becomes a version."""
