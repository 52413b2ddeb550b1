"""The run of a dynamics through its saved times, and what is told of it."""
