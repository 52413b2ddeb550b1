# The backend stands among the resources, which trigger no job: it is no part of a run's identity.
rule train:
    input:
        lambda wildcards: run_of(wildcards).data_files("initialization"),
        problem=f"{RUN}/problem.nc",
    output:
        f"{RUN}/trajectory.nc",
    log:
        f"{RUN}/train.log",
    priority: 1  # the long jobs first; what is short fills up the end
    threads: lambda wildcards: threads_of(run_of(wildcards))
    resources:
        backend=study.backend,
        plugin_paths=PLUGIN_PATHS,
    params:
        code=lambda wildcards: study.code("train", run_of(wildcards)),
    shell:
        "twolayer train {resources.plugin_paths} --problem {input.problem:q} --backend {resources.backend}"
        " --threads {threads} --output {output:q} 2>&1 | tee {log:q}"
