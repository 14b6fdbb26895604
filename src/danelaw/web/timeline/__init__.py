"""A rollover over time: what was seen and what is planned, as a picture, a table and a list of steps."""
