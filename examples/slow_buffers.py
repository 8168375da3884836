"""How much SRAM does a weight stream need? The same model, with less and less of it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import rdu
from rdu.testing.checkpoints import write_folder

with TemporaryDirectory() as folder:
    model = rdu.load(write_folder(Path(folder) / "model", config={"hidden_size": 64, "intermediate_size": 256}))
    # What is under way from memory always has room: here it is next to nothing.
    near = rdu.machine("tiny", hbm__network_ns=0.0, hbm__refresh_ns=1.0, network__fifo_vectors=1)
    for vectors in (1024, 64, 16, 4, 1):
        machine = near.override({"mapping.weight_buffer_vectors": vectors})
        run = rdu.compile(model, machine).generate([1, 2, 3], max_new_tokens=4, ignore_eos=True)
        figures = run.report.to_dict()
        space, rate = figures["hbm_time"]["space"], figures["machine"]["decode_tokens_per_second"]
        print(f"{vectors:5} vectors: {rate:8.0f} tokens/s, HBM waits for space {space:.0%} of the time")
