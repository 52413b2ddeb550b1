rule gather:
    input:
        lambda wildcards: remade_if_stale("dataset", *wildcards),
        lambda wildcards: [
            f"results/{run.paper}/{run.experiment}/{run.name}/metrics.nc"
            for run in study.experiment(wildcards.paper, wildcards.experiment).runs.values()
        ],
    output:
        update("results/{paper}/{experiment}/dataset.nc"),
    log:
        "results/{paper}/{experiment}/gather.log",
    params:
        runs=lambda wildcards: study.experiment(wildcards.paper, wildcards.experiment).layout(),
        digest=digest_of_runs,
        code=study.code("gather"),
    shell:
        'twolayer gather "$(dirname {output:q})" --runs {params.runs:q}'
        " --digest {params.digest:q} --output {output:q} > {log:q} 2>&1"
