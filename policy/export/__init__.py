"""The links that release dumps: made, looked at and taken back in the export tree. Touches files and nothing else."""

from policy.export.dump_files import check_all
from policy.export.inspect import TreeEntry
from policy.export.model import LinkFailure, LinkRequest, Presence, Published
from policy.export.tree import ExportTree

__all__ = ["ExportTree", "LinkFailure", "LinkRequest", "Presence", "Published", "TreeEntry", "check_all"]
