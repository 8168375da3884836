"""Formats of others, and pictures: SDF3 XML to and from, DOT, Mermaid and SVG of a stream program.

Functions of a built program and, for pictures, of its run; they read what ``StreamProgram.describe`` says.
"""

from .dot import to_dot
from .mermaid import to_mermaid
from .sdf3_read import read_sdf3
from .sdf3_write import write_sdf3
from .svg import to_svg

__all__ = ["read_sdf3", "to_dot", "to_mermaid", "to_svg", "write_sdf3"]
