"""Labelled arrays in netCDF files."""
