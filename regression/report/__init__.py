"""What a comparison found, for people and for machines: a page, pictures, Markdown, JSON, and a run of wandb."""

from regression.report.files import ReportError, write, write_all
from regression.report.tracker import to_wandb

__all__ = ["ReportError", "to_wandb", "write", "write_all"]
