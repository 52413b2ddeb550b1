# What is wrong in config.yaml as YAML, with the line: Snakemake says only that it is.
from pathlib import Path

from snakemake.exceptions import WorkflowError

from twolayer.errors import ConfigError
from twolayer.study.merge import read_config

try:
    if Path("config.yaml").is_file():
        read_config(Path("config.yaml"))
except ConfigError as error:
    raise WorkflowError(str(error))
