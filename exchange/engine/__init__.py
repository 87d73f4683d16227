"""The pure rules of the market: book, call auction, netting and pre-trade risk, in whole numbers only."""
