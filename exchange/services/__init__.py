"""What the exchange does: markets, orders, matching, settlement and the closing of a period."""
