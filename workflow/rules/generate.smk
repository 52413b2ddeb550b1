LONGEST_ARGUMENT = 100_000  # bytes; Linux ends an argument at 128 KiB


def run_argument(run):
    """A run as JSON, or @ and the file that holds it where a command line cannot."""
    text = run.json()
    if len(text.encode()) <= LONGEST_ARGUMENT:
        return text
    file = Path(".snakemake", "twolayer", f"{digest_of([text])}.json")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f"{file.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(file)
    return f"@{file}"


rule generate:
    input:
        lambda wildcards: remade_if_stale("problem", *wildcards),
        lambda wildcards: run_of(wildcards).data_files("problem"),
    output:
        f"{RUN}/problem.nc",
    log:
        f"{RUN}/generate.log",
    resources:
        plugin_paths=PLUGIN_PATHS,
    params:
        run=lambda wildcards: run_argument(run_of(wildcards)),
        code=lambda wildcards: code_of("generate", *wildcards),
    shell:
        "twolayer generate {resources.plugin_paths} --run {params.run:q} --output {output:q} > {log:q} 2>&1"
