"""Gaussian inputs and a teacher: closed forms, descent, flow, optima."""
