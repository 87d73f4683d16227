"""Grid factors and serving records: what a kilowatt-hour emitted, what streams drew, and what the two come to."""
