"""Gets Headroom from a fresh clone to a running command: environment, embedded servers, child processes.

Everything here uses the standard library only, because it runs before anything is installed. It never imports Django
settings: the database is started by a command that needs one, not by whoever happens to read the settings.
"""
