"""Studies: rdu held against what others measured and published."""

from rdu.studies.swiglu_layer import Layer, swiglu

__all__ = ["Layer", "swiglu"]
