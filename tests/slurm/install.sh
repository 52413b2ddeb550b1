#!/usr/bin/env bash
# What `pytest -m slurm` needs: Slurm and munge from Debian, as root, and Snakemake's executor in the current environment.
# With the argument `system`, what comes from Debian alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge
fi
[ "${1-}" = system ] || pip install -q -e '.[cluster]'
