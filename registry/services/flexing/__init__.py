"""Two-tier inference: tariffs, day-ahead forecasts, flexed requests, claims of avoided emissions, and planning."""
