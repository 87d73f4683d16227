"""REST of the registry: translates, calls one service or selector, translates back."""
