"""What is always true of meters: bodies are what was hashed, and what was taken into reports is what they say."""

from common.invariants import Invariant, sql_invariant

INVARIANTS: list[Invariant] = [
    sql_invariant(
        "Each body that a client sent is the one that was hashed at receipt",
        counted="""
            SELECT (SELECT count(*) FROM registry_meterreading WHERE received_at <= %(as_of)s::timestamptz)
                 + (SELECT count(*) FROM registry_meterrun WHERE received_at <= %(as_of)s::timestamptz)""",
        breaches="""
            SELECT kind, id, content_sha256, found FROM (
                SELECT 'reading' AS kind, id::text, content_sha256, received_at,
                       encode(sha256(convert_to(sent, 'UTF8')), 'hex') AS found FROM registry_meterreading
                 UNION ALL
                SELECT 'run', id::text, content_sha256, received_at,
                       encode(sha256(convert_to(sent, 'UTF8')), 'hex') FROM registry_meterrun
            ) bodies
             WHERE received_at <= %(as_of)s::timestamptz AND found <> content_sha256
             ORDER BY received_at, id""",
    ),
    sql_invariant(
        "Each figure of a reading is the one in its body",
        counted="SELECT count(*) FROM registry_meterreading WHERE received_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT id AS reading_id, energy_kwh, said FROM (
                SELECT id, energy_kwh, received_at, (sent::jsonb ->> 'energy_consumed')::numeric AS said
                  FROM registry_meterreading
            ) readings
             WHERE received_at <= %(as_of)s::timestamptz AND round(said, 30) <> energy_kwh
             ORDER BY received_at, id""",
    ),
]
