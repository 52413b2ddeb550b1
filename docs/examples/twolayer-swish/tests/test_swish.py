"""What every activation must do, of swish."""

from twolayer.testing import conformance

test_swish = conformance("activations", {"name": "swish", "steepness": 2.0})
