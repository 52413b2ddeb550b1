def figure_of(wildcards):
    return study.figure(wildcards.paper, wildcards.figure)


def figure_files(wildcards):
    return study.files_of("figures", figure_of(wildcards).registered)


def face_files(wildcards):
    return study.face_files(figure_of(wildcards))


def remade_if_drawn_elsewhere(face):
    """The input function that has a figure drawn again whose .json is of other runs."""
    return lambda wildcards: remade_if_foreign(
        f"results/{wildcards.paper}/figures/{wildcards.figure}.{face}",
        why_stale_figure,
        wildcards.paper,
        tuple(figure_of(wildcards).experiments),
    )


# A still figure and an animation differ only in the files they are written to: the last is what the face says.
for rule_name, suffixes, face in (
    ("render", ("pdf", "png"), "json"),
    ("animate", ("mp4", "mp4.png"), "mp4.json"),
):

    rule:
        name:
            rule_name
        input:
            remade_if_drawn_elsewhere(face),
            datasets=lambda wildcards: datasets_of(wildcards.paper, figure_of(wildcards).experiments),
            files=ancient(lambda wildcards: figure_files(wildcards)),
            claim_files=ancient(lambda wildcards: face_files(wildcards)),
            style=ancient(STYLE),
        output:
            update(
                report(
                    expand("results/{{paper}}/figures/{{figure}}.{suffix}", suffix=suffixes),
                    category="{paper}",
                    labels={"figure": "{figure}"},
                )
            ),
            face=update(f"results/{{paper}}/figures/{{figure}}.{face}"),
        log:
            f"results/{{paper}}/figures/{{figure}}.{rule_name}.log",
        resources:
            plugin_paths=PLUGIN_PATHS,
        params:
            options=lambda wildcards: study.figure_options(figure_of(wildcards)),
            code=lambda wildcards: study.code("render", paper=wildcards.paper, figure=wildcards.figure),
            contents=lambda wildcards: contents((*figure_files(wildcards), *face_files(wildcards), STYLE)),
        shell:
            "twolayer render {resources.plugin_paths} {params.options} --datasets {input.datasets:q}"
            " --files {input.files:q} --claim-files {input.claim_files:q}"
            " --style {input.style:q} --output {output:q} > {log:q} 2>&1"
