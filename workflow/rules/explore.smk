rule explore:
    input:
        lambda wildcards: datasets_of(wildcards.paper, explored(wildcards.paper)),
    output:
        update("results/{paper}/explorer.html"),
    log:
        "results/{paper}/explore.log",
    params:
        code=study.code("explore"),
    shell:
        "twolayer explore --datasets {input:q} --output {output:q} > {log:q} 2>&1"
