# What jobs ask of a cluster: which travel together, and the time, memory and cores that are kept for them.
TOGETHER = 600
"""Seconds of runs that share a job of a cluster: to submit it and start Snakemake in it take some ten."""

STARTING = 3
"""Seconds in which the three commands of a run start."""

USUAL = 1 / 20
"""The share of the longest time that a job usually takes."""

LATEST_START = 60
"""Seconds that a command may take to load its libraries and compile its kernels."""


def group_of(wildcards):
    """The job of a cluster that makes a run: its three jobs, with those of other short runs of the experiment."""
    if internals.runs_here(workflow):
        return None
    if not internals.is_first_process(workflow):  # which was started for the jobs of one group
        return internals.one_group(workflow)
    number = groups(wildcards.paper, wildcards.experiment)[wildcards.run]
    return internals.join(workflow, f"run_{wildcards.paper}_{wildcards.experiment}_{number}", "run")


@functools.cache
def groups(paper, experiment):
    """The group of each run of an experiment: in their order, as many as take `TOGETHER`, but one with a card alone."""
    found, number, filled = {}, 0, 0.0
    for name, run in study.experiment(paper, experiment).runs.items():
        threads = threads_of(run)
        work = STARTING + USUAL * sum(study.longest(run, threads).values())
        work *= threads / (internals.cores(workflow) or threads)
        alone = placed(paper, experiment, name).on_device
        if found and (alone or filled + work > TOGETHER):
            number, filled = number + 1, 0.0
        found[name] = number
        filled = float("inf") if alone else filled + work
    return found


def minutes(stage):
    """The time that a cluster keeps for a job of a run, from its size: twice as much where it was not enough."""

    def minutes_of(wildcards, attempt):
        run = run_of(wildcards)
        longest = LATEST_START + study.longest(run, threads_of(run))[stage]
        return -(-int(longest * 2 ** (attempt - 1)) // 60)

    return minutes_of


def memory_of(wildcards):
    """MB of memory for a job of a run: Slurm keeps them for it; here jobs wait with --resources mem_mb=…"""
    of_snakemake = 0 if internals.runs_here(workflow) else 500  # which starts each job of a cluster
    return study.memory(run_of(wildcards)) + of_snakemake


# A process that runs a group on a node knows its jobs at once, and has no onstart.
start_server_for(internals.jobs_of_group())
