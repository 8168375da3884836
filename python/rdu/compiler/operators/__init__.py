"""How each operator becomes units and streams, and the same step for the blocked plan. One file per operator."""

from rdu.compiler.operators import all_reduce, attention, linear, maps, norm, rows

_FILES = {
    "all_reduce": all_reduce,
    "attention": attention,
    "linear": linear,
    "norm": norm,
    "rows": rows,
    "add": maps,
    "mul": maps,
    "silu": maps,
    "silu_mul": maps,
}
LOWER = {kind: file.lower for kind, file in _FILES.items()}
PLAN = {kind: file.plan for kind, file in _FILES.items()}
