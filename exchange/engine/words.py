"""Words that every engine of the market shares."""

from typing import Literal

Side = Literal["buy", "sell"]
TimeInForce = Literal["gtc", "ioc"]
