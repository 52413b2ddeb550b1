"""Every paper's figures and claims: `snakemake --cores N`. One paper's: `snakemake --cores N <paper>`."""


include: "workflow/rules/config.smk"


configfile: "config.yaml"


include: "workflow/rules/study.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/arguments.smk"
include: "workflow/rules/pages.smk"


rule all:
    default_target: True
    input:
        [target for paper in study.papers.values() for target in products(paper)],
        "results/index.html",


include: "workflow/rules/generate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/gather.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/gallery.smk"
include: "workflow/rules/explore.smk"
include: "workflow/rules/papers.smk"


onstart:
    internals.lift_rate_limit(workflow)
    internals.end_jobs_on_sigterm(workflow)
    start_server_for(internals.number_of_jobs(workflow))


onsuccess:
    print_claims()


onerror:
    show_what_is_there()
    print_claims()
