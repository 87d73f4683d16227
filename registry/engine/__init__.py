"""The rules of the registry as plain functions over plain values: what auditors and researchers import."""
