rule measure:
    input:
        lambda wildcards: remade_if_stale("metrics", *wildcards),
        problem=f"{RUN}/problem.nc",
        trajectory=f"{RUN}/trajectory.nc",
    output:
        update(f"{RUN}/metrics.nc"),
    log:
        f"{RUN}/measure.log",
    group:
        group_of
    threads: lambda wildcards: measuring_threads_of(run_of(wildcards))
    resources:
        mem_mb=memory_of,
        runtime=minutes("measure"),
        plugin_paths=PLUGIN_PATHS,
    params:
        metrics=lambda wildcards: study.metrics_option(wildcards.paper, wildcards.experiment),
        code=lambda wildcards: code_of("measure", *wildcards),
    shell:
        "twolayer measure {resources.plugin_paths} --problem {input.problem:q} --trajectory {input.trajectory:q}"
        " {params.metrics} --threads {threads} --output {output:q} > {log:q} 2>&1"
