rule claims:
    input:
        lambda wildcards: remade_if_foreign(
            f"results/{wildcards.paper}/claims.json",
            why_stale_claims,
            wildcards.paper,
            tuple(study.claim_experiments(wildcards.paper)),
        ),
        datasets=lambda wildcards: datasets_of(wildcards.paper, study.claim_experiments(wildcards.paper)),
        files=ancient(lambda wildcards: study.claim_files(wildcards.paper)),
    output:
        update("results/{paper}/claims.json"),
    log:
        "results/{paper}/claims.log",
    resources:
        plugin_paths=PLUGIN_PATHS,
    params:
        options=lambda wildcards: study.claims_options(wildcards.paper),
        code=lambda wildcards: study.code("claims", paper=wildcards.paper),
        contents=lambda wildcards: contents(tuple(study.claim_files(wildcards.paper))),
    shell:
        "twolayer claims {resources.plugin_paths} {params.options} --datasets {input.datasets:q} --files {input.files:q} --output {output:q} > {log:q} 2>&1"


rule chart:
    input:
        claims="results/{paper}/claims.json",
        style=ancient(STYLE),
    output:
        update(
            report(
                expand("results/{{paper}}/claims.{suffix}", suffix=("pdf", "png")),
                category="{paper}",
                labels={"figure": "all claims"},
            )
        ),
    log:
        "results/{paper}/chart.log",
    params:
        code=study.code("chart"),
        contents=contents((STYLE,)),
    shell:
        "twolayer chart {input.claims:q} --style {input.style:q} --output {output:q} > {log:q} 2>&1"
