"""Finite data: losses, descent and exact gradient flow."""
