"""The stages of the workflow, one per file: what each makes of its inputs, without files or plugins' names."""
