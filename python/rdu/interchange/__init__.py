"""Formats of others, and pictures: SDF3 XML to and from, DOT, Mermaid and SVG of a stream program.

Functions of a built program and, for pictures, of its run; they read what ``StreamProgram.describe`` says.
"""

from .sdf3_read import read_sdf3
from .sdf3_write import write_sdf3

__all__ = ["read_sdf3", "write_sdf3"]
