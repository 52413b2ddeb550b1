rule generate:
    input:
        lambda wildcards: remade_if_stale("problem", *wildcards),
        lambda wildcards: run_of(wildcards).data_files("problem"),
    output:
        update(f"{RUN}/problem.nc"),
    log:
        f"{RUN}/generate.log",
    group:
        group_of
    resources:
        mem_mb=memory_of,
        runtime=minutes("generate"),
        plugin_paths=PLUGIN_PATHS,
    params:
        run=lambda wildcards: run_argument(run_of(wildcards)),
        code=lambda wildcards: code_of("generate", *wildcards),
    shell:
        "twolayer generate {resources.plugin_paths} --run {params.run:q} --output {output:q} > {log:q} 2>&1"
