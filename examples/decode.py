"""A real model on two machines: what faster memory is worth, and what it is not."""

import rdu

model = rdu.load("smollm2")
for changes in ({}, {"hbm__peak_gbps": 3600}, {"call__ordering": "hardware"}):
    machine = rdu.machine("sn40l", **changes)
    run = rdu.compile(model, machine, context=256).generate("The sea is", max_new_tokens=2)
    figures = run.report.to_dict()
    rate = figures["machine"]["decode_tokens_per_second"]
    shares = ", ".join(f"{cause} {share:.0%}" for cause, share in figures["hbm_time"].items() if share >= 0.005)
    print(f"{changes or 'as described'}: {run.text!r}, {rate:.0f} tokens/s; HBM's time: {shares}")
