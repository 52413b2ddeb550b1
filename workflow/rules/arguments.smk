# Arguments of commands.
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
