"""The passes in order, and the addresses of everything that a program keeps in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache

from rdu.compiler.allocate import ALIGNMENT_BYTES, allocate
from rdu.compiler.formats import FORMATS, Format, row_bytes
from rdu.compiler.fuse import Region, fuse
from rdu.compiler.lower import Kernel, lower
from rdu.compiler.weights import fill
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine
from rdu.program import Boundary, Cache, Program, Reporter, Site


def compile_graph(
    graph: Graph,
    machine: Machine,
    *,
    fusion: str = "layer",
    dtype: str = "bf16",
    batch: int = 1,
    context: int = 4096,
    block: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    reporter: Reporter | None = None,
) -> Program:
    """Map ``graph`` onto ``machine`` and load its weights; see `rdu.compile`."""
    if dtype not in FORMATS:
        raise CompileError(f"dtype is {dtype!r}; choose one of {', '.join(FORMATS)}")
    if batch != 1:
        raise CompileError(f"batch is {batch}; only batch=1 is available yet")
    if machine.sockets != 1:
        raise CompileError(f"machine {machine.name!r} has {machine.sockets} sockets; only one is available yet")
    block = machine.mapping.prefill_block if block is None else block
    for name, value in (("context", context), ("block", block)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CompileError(f"{name} is {value!r}; it must be a whole number of at least 1")
    form, block = FORMATS[dtype], min(block, context)
    regions = fuse(graph, fusion)
    # Regions that look alike share the kernel of the first of them.
    numbers: dict[Hashable, int] = {}
    kernels = [numbers.setdefault(region.signature, len(numbers)) for region in regions]
    firsts = [regions[kernels.index(number)] for number in range(len(numbers))]
    allocations = [allocate(region, machine, form, block, context) for region in firsts]

    space = _Space(machine)
    weight_bases = [space.take(allocations[kernel].weight_bytes) for kernel in kernels]
    turns = None
    if graph.table is not None:
        rows, width = graph.table.shape
        if rows < context:
            raise CompileError(f"the position table has {rows} rows, fewer than the context of {context}")
        stride = row_bytes(width, "f32")
        turns = (space.take(context * stride), stride)
    weight_bytes = space.end
    boundaries = _boundaries(graph, regions, block, space)
    sites = tuple(
        _site(region, kernel, base, form, context, space, tail)
        for region, kernel, base, tail in zip(regions, kernels, weight_bases, _tails(regions), strict=True)
    )
    space.check(weight_bytes)

    rotated = graph.table is not None
    names = [_kernel_name(region, kernels.count(at)) for at, region in enumerate(firsts)]

    @cache
    def lower_one(index: int, positions: int, sources: tuple[int, ...]) -> Kernel:
        return lower(
            firsts[index],
            allocations[index],
            machine,
            form,
            positions=positions,
            sources=sources,
            context=context,
            rotated=rotated,
            name=names[index],
        )

    for index, region in enumerate(firsts):
        # The widest and the narrowest call must fit before weights are read.
        for positions in sorted({1, block}):
            lower_one(index, positions, (positions,) * len(region.inputs))
    placed = [
        (region, allocations[kernel], base) for region, kernel, base in zip(regions, kernels, weight_bases, strict=True)
    ]
    image = fill(placed, graph.table, turns[0] if turns else 0, context, form, progress)
    return Program(
        graph=graph,
        machine=machine,
        dtype=dtype,
        fusion=fusion,
        context=context,
        block=block,
        sites=sites,
        boundaries=boundaries,
        turns=turns,
        weight_bytes=weight_bytes,
        state_bytes=space.end - weight_bytes,
        image=image,
        lower=lower_one,
        reporter=reporter,
    )


class _Space:
    """Addresses of HBM, given out from 0 upwards."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.end = 0

    def take(self, byte_count: int) -> int:
        base = self.end
        self.end += -(-byte_count // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return base

    def check(self, weight_bytes: int) -> None:
        have = self.machine.hbm.capacity_bytes
        if self.end > have:
            raise CompileError(
                f"the program needs {self.end} bytes of HBM ({weight_bytes} of weights, {self.end - weight_bytes} of "
                f"caches and activations), machine {self.machine.name!r} has hbm.capacity_bytes={have}: "
                f"{self.end - have} too many; "
                f"a shorter context or a narrower dtype would help"
            )


def _boundaries(graph: Graph, regions: list[Region], block: int, space: _Space) -> dict[str, Boundary]:
    found: dict[str, Boundary] = {}
    for region in regions:
        for tensor in (*region.inputs, *region.outputs):
            if tensor.name not in found:
                size = row_bytes(tensor.width, "f32") * block
                found[tensor.name] = Boundary(space.take(size), tensor.width, size)
    return found


def _site(region: Region, kernel: int, weights: int, form: Format, context: int, space: _Space, tail: bool) -> Site:
    caches = []
    for op in region.operators:
        if op.attention is not None:
            a = op.attention
            stride = a.kv_heads * row_bytes(a.head_dim, form.operand)
            caches.append(Cache(space.take(2 * context * stride), stride, context, a.window))
    inputs = tuple(tensor.name for tensor in region.inputs)
    outputs = tuple(tensor.name for tensor in region.outputs)
    return Site(region.name, kernel, weights, inputs, outputs, tuple(caches), tail)


def _tails(regions: list[Region]) -> list[bool]:
    """True for the calls after the last one that keeps rows of a sequence."""
    keeps = [any(op.kind == "attention" for op in region.operators) for region in regions]
    last = max((at for at, kept in enumerate(keeps) if kept), default=len(regions))
    return [at > last for at in range(len(regions))]


def _kernel_name(region: Region, calls: int) -> str:
    """Blocks that share a kernel are numbered; the kernel is called what they have in common."""
    head, _, number = region.name.rpartition(".")
    return head if calls > 1 and number.isdigit() else region.name
