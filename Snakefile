"""Every paper's figures and claims: `snakemake --cores N`. One paper's: `snakemake --cores N <paper>`."""


configfile: "config.yaml"


include: "workflow/rules/study.smk"


rule all:
    default_target: True
    input:
        [target for paper in study.papers.values() for target in products(paper)],


for paper in study.papers.values():

    rule:
        name:
            paper.name
        input:
            products(paper),
            datasets_of(paper.name, paper.experiments),


include: "workflow/rules/generate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/gather.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/claims.smk"


# The limit on jobs a second makes Snakemake look at all waiting jobs again once a second for each job that has
# finished, for good: a fifth of a core by the end of a few hundred jobs. It serves cluster submissions only.
onstart:
    if workflow.local_exec and hasattr(workflow.scheduler, "job_rate_limiter"):
        workflow.scheduler.job_rate_limiter = None


onsuccess:
    print_claims()


onerror:
    print_claims()
