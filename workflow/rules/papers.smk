# A rule for each paper, named by it: after all others, whose names it may not have.
taken = internals.rule_names(workflow)

for paper in study.papers.values():
    if paper.name in taken:
        raise WorkflowError(
            f"papers.{paper.name}: '{paper.name}' is a rule of the workflow; choose another name"
        )

    rule:
        name:
            paper.name
        input:
            products(paper),
            datasets_of(paper.name, paper.experiments),
