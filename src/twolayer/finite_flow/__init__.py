"""Exact gradient flow on finite data."""

from twolayer.finite_flow.flow import FlowFrame, FlowPath, FlowStalled, finite_flow, flow_frames

__all__ = ["FlowFrame", "FlowPath", "FlowStalled", "finite_flow", "flow_frames"]
