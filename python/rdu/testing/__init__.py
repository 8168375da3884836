"""What rdu ships for tests: checkpoints, programs and address streams made on the spot, and reference memories."""

from rdu.testing.references import reference_dram, reference_names

__all__ = ["reference_dram", "reference_names"]
