"""What the exchange says about an order that it turned down or ended: a sentence for each stored code."""

SENTENCES = {
    "standing_suspended": "Your organisation is suspended and cannot trade. Ask the regulator.",
    "standing_buy_only": "Your organisation may only buy until its shortfall is made good.",
    "not_admitted": "Your organisation is not an operator of this scheme and cannot trade its permits.",
    "account_restricted": "The regulator restricted your account: no order enters, and you may cancel those that rest.",
    "scheme_frozen": "All movements of this scheme but surrender are stopped. Read the public notice.",
    "market_closed": "The market is closed. Come back when it opens.",
    "market_halted": "The market is halted: no order enters, and you may cancel those that rest.",
    "period_not_open": "The compliance period is not open for trading.",
    "time_in_force_not_in_call": "During a call, orders must be good till cancelled.",
    "quantity_not_positive": "Enter a quantity of at least one lot.",
    "quantity_off_lot": "The quantity must be a multiple of the lot.",
    "quantity_too_large": "One order may not be this large. Place several.",
    "price_not_positive": "Enter a price of at least one tick.",
    "price_off_tick": "The price must be a multiple of the tick.",
    "price_too_high": "This price is too high to be meant. Check it.",
    "value_too_large": "The value of this order is too large. Place several.",
    "price_outside_collar": "The price is too far from the last one. Choose a price within the collar.",
    "insufficient_available": "You do not have enough available to cover this order. Lower it, or cancel another.",
    "debt_outstanding": "You owe permits: only what is free beyond the debt may be sold. Pay the debt first.",
    "account_frozen": "Your account is frozen. Ask the regulator.",
    "account_closed": "Your account is closed. Ask the regulator.",
    "quantity_out_of_range": "Everything you have open would come to more than the ledger can hold.",
    "crosses_own_order": "It would have met another order of your own in the call.",
    "requested": "Cancelled as you asked.",
    "ioc": "Nothing more could be traded at once.",
    "self_trade": "The rest would have traded with another order of your own.",
    "expired": "The compliance period was closed.",
    "parked": "The market monitor discarded the order after a fault.",
}


def sentence(code: str) -> str:
    """Return the sentence of a code; one that is not listed is spelled in words."""
    return SENTENCES.get(code, code.replace("_", " ").capitalize() + ".")
