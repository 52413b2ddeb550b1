"""What everything speaks in: networks, problems, dynamics, trajectories, times and seeds."""
