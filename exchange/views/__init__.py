"""Pages of the exchange: each view translates, makes one call, and translates back."""
