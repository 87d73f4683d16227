"""Readers of other people's files: bytes in, values or a complete list of errors out; storing is the services' job."""
