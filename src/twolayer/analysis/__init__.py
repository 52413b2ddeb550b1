"""From metrics to claims and figures."""
