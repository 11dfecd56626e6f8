"""The links that let dumps out: made, looked at and taken back in the export tree. Touches files and nothing else."""

from policy.links.check import check_all
from policy.links.records import LinkFailure, LinkRequest, Presence, Published
from policy.links.standing import Standing
from policy.links.tree import ExportTree

__all__ = ["ExportTree", "LinkFailure", "LinkRequest", "Presence", "Published", "Standing", "check_all"]
