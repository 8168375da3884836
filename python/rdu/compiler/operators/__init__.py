"""How each operator becomes units and streams, and the same step for the blocked plan. One file per operator."""

from rdu.compiler.operators import attention, linear, maps, norm, rows

LOWER = {
    "attention": attention.lower,
    "linear": linear.lower,
    "norm": norm.lower,
    "rows": rows.lower,
    "add": maps.lower,
    "mul": maps.lower,
    "silu": maps.lower,
    "silu_mul": maps.lower,
}
