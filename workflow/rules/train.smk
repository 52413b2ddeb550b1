# The backend, the card and the interval of checkpoints stand among the resources, which trigger no job: they are no part of a run's identity.
rule train:
    input:
        lambda wildcards: remade_if_stale("trajectory", *wildcards),
        lambda wildcards: run_of(wildcards).data_files("initialization"),
        problem=f"{RUN}/problem.nc",
    output:
        update(f"{RUN}/trajectory.nc"),
    log:
        f"{RUN}/train.log",
    priority: 1  # the long jobs first; what is short fills up the end
    group:
        group_of
    threads: lambda wildcards: 1 if on_device(wildcards) else threads_of(run_of(wildcards))
    resources:
        backend=study.backend,
        gpu=lambda wildcards: int(on_device(wildcards)),
        checkpoint=f"{study.checkpoint.seconds:g}",
        mem_mb=memory_of,
        runtime=minutes("train"),
        plugin_paths=PLUGIN_PATHS,
    params:
        code=lambda wildcards: code_of("train", *wildcards),
    shell:
        "twolayer train {resources.plugin_paths} --problem {input.problem:q} --backend {resources.backend:q}"
        " --threads {threads} --checkpoint {resources.checkpoint} --output {output:q} > {log:q} 2>&1"
