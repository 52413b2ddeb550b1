rule gallery:
    input:
        [target for paper in study.papers.values() for target in products(paper)],
        [
            f"results/{name}/explorer.html"
            for name, paper in study.papers.items()
            if paper.figures or paper.claims
        ],
        figures=DESCRIPTIONS,
        claims=CLAIMS,
        sentences=SENTENCES,
    output:
        update("results/index.html"),
    log:
        "results/gallery.log",
    params:
        code=study.code("gallery"),
    shell:
        "twolayer gallery --figures {input.figures:q} --claims {input.claims:q}"
        " --sentences {input.sentences:q} --output {output:q} > {log:q} 2>&1"
