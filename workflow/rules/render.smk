def figure_of(wildcards):
    return study.papers[wildcards.paper].figures[wildcards.figure]


def figure_files(wildcards):
    return study.files_of("figures", figure_of(wildcards).registered)


# A still figure and an animation differ only in the files they are written to.
for rule_name, suffixes in (("render", ("pdf", "png")), ("animate", ("mp4",))):

    rule:
        name:
            rule_name
        input:
            datasets=lambda wildcards: datasets_of(wildcards.paper, figure_of(wildcards).experiments),
            files=ancient(lambda wildcards: figure_files(wildcards)),
            style=ancient("workflow/figures.mplstyle"),
        output:
            update(
                report(
                    expand("results/{{paper}}/figures/{{figure}}.{suffix}", suffix=suffixes),
                    category="{paper}",
                    labels={"figure": "{figure}"},
                )
            ),
        log:
            f"results/{{paper}}/figures/{{figure}}.{rule_name}.log",
        resources:
            plugin_paths=PLUGIN_PATHS,
        params:
            options=lambda wildcards: study.figure_options(figure_of(wildcards)),
            code=lambda wildcards: study.code("render", paper=wildcards.paper, figure=wildcards.figure),
            contents=lambda wildcards: contents((*figure_files(wildcards), "workflow/figures.mplstyle")),
            failure=lambda wildcards: last_failure(wildcards.paper, "figures", wildcards.figure),
        shell:
            "(twolayer render {resources.plugin_paths} {params.options} --datasets {input.datasets:q}"
            " --files {input.files:q}"
            " --style {input.style:q} --output {output:q} 2>&1 | tee {log:q})"
            f" || {noted('figures', '{wildcards.figure}')}"
