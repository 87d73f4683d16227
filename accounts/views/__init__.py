"""The pages about people, one file for each kind of thing."""
