"""From config to runs: plugins, sections, sweeps, fingerprints."""
