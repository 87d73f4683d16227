"""REST of the exchange: translates, calls one service or selector, translates back."""
