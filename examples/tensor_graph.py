"""Your own tensors: a feed-forward block as a graph, on a machine, with NumPy arrays; then what the machine did."""

import numpy as np

import rdu

random = np.random.default_rng(0)
w1, w2, w3 = (random.standard_normal(shape, dtype=np.float32) / 16 for shape in ((256, 96), (256, 96), (96, 256)))

g = rdu.Graph()
x = g.input("x", 96)
gate = g.linear("gate", x, g.weight("w1", w1))
up = g.linear("up", x, g.weight("w2", w2))
g.output(g.add("y", x, g.linear("down", g.silu_mul("h", gate, up), g.weight("w3", w3))))

rows = random.standard_normal((4, 96), dtype=np.float32)
run = rdu.compile(g, "tiny", dtype="fp32").run(x=rows)

a = rows @ w1.T
expected = rows + (a / (1 + np.exp(-a)) * (rows @ w2.T)) @ w3.T
print("largest difference from NumPy:", float(np.abs(run.outputs["y"] - expected).max()))
assert np.allclose(run.outputs["y"], expected, atol=1e-5)  # sums of 256 products, in another order
print(run.report)
