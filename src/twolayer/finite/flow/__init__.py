"""Exact gradient flow on finite data."""

from twolayer.finite.flow.frames import FlowFrame, FlowPath, FlowStalled, finite_flow, flow_frames

__all__ = ["FlowFrame", "FlowPath", "FlowStalled", "finite_flow", "flow_frames"]
