"""Pages of the registry: each view translates, makes one call, and translates back."""
