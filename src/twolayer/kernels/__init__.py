"""Tools of compiled code."""
