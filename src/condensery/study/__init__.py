"""Studies: a whole table or figure as one plan (condense, evaluate, report)."""
