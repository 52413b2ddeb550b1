"""Exact gradient flow on finite data."""

from twolayer.finite.flow.frames import FlowFrame, FlowStalled, flow_frames
from twolayer.finite.flow.path import FlowPath, finite_flow

__all__ = ["FlowFrame", "FlowPath", "FlowStalled", "finite_flow", "flow_frames"]
