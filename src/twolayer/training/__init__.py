"""The run of a dynamics through its saved times, and notes on it."""
