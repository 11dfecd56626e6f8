"""The command line: it ties the rooms together, and is the only part of ``tidegate`` that knows them."""
