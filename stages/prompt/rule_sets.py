"""The rule sets that are shipped, by name."""

from __future__ import annotations

from pipeline.catalogue import Shipped
from stages.prompt.schema import RuleSet

RULE_SETS = Shipped("prompts", RuleSet, "rule set")
