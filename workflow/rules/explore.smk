def explored(paper):
    """The experiments of a paper that a figure or a claim uses: the others are not made unless they are asked for."""
    planned = study.papers[paper]
    used = {name for figure in planned.figures.values() for name in figure.experiments}
    used |= {name for names in planned.claims.values() for name in names}
    return [name for name in planned.experiments if name in used]


rule explore:
    input:
        lambda wildcards: datasets_of(wildcards.paper, explored(wildcards.paper)),
    output:
        "results/{paper}/explorer.html",
    log:
        "results/{paper}/explore.log",
    params:
        code=study.code("explore"),
    shell:
        "twolayer explore --datasets {input:q} --output {output:q} > {log:q} 2>&1"
