"""The stages of the workflow, one a file: what each makes of its inputs, without files or plugins' names."""
