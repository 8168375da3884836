"""The passes in order, and the addresses of everything that a program keeps in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

from rdu.compiler.allocation import Allocation, Placed, granule_bytes, socket_bytes, whole
from rdu.compiler.cache import cache_layout
from rdu.compiler.explain import explain
from rdu.compiler.formats import FORMATS, LONGEST_EXACT_SUM, Format, row_bytes
from rdu.compiler.fuse import Region, merged
from rdu.compiler.hold import check_blocks, hold
from rdu.compiler.lower import Kernel
from rdu.compiler.passes import chosen
from rdu.compiler.prompt import choose_wave
from rdu.compiler.shard import holder, shard
from rdu.compiler.weights import Shelf, fill
from rdu.errors import CompileError
from rdu.graph import Graph
from rdu.machine import Machine
from rdu.program import Boundary, Cache, Image, Program, Reporter, Site


def compile_graph(
    graph: Graph,
    machine: Machine,
    *,
    fusion: str = "loop",
    dtype: str = "bf16",
    batch: int = 1,
    context: int = 4096,
    block: int | None = None,
    prompt: int | None = None,
    values: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
    reporter: Reporter | None = None,
    passes: Mapping[str, Callable[..., Any]] | None = None,
    shelf: Shelf | None = None,
) -> Program:
    """Map ``graph`` onto ``machine`` and load its weights; see `rdu.compile`.

    Without ``values`` no weight is read: the program can only be timed. One that has both values and a batch has two
    mappings of the same sums: of prompts, which come one by one, and of a decode step of all sequences. Several sockets
    are timed as one of them, since all work alike; their values are computed side by side.
    """
    mine = chosen(passes)
    if dtype not in FORMATS:
        raise CompileError(f"dtype is {dtype!r}; choose one of {', '.join(FORMATS)}")
    block = machine.mapping.prefill_block if block is None else block
    for name, value in (("context", context), ("block", block), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CompileError(f"{name} is {value!r}; it must be a whole number of at least 1")
    form = FORMATS[dtype]
    _check_sums(graph, form)
    columns = {tensor.name: tensor.width for tensor in graph.outputs}
    graph = shard(hold(graph, form), machine.sockets)
    check_blocks(graph, form)
    block = min(block, context) if values else batch
    granule = granule_bytes(machine)
    regions = mine.fuse(graph, fusion, machine.p2p.collective)
    # What one kernel can do in one call, if all of it has the same positions.
    joint = merged(regions) if fusion == "loop" else None
    # Regions that look alike share the kernel of the first of them; those of a loop are parts of the joint one.
    numbers: dict[Hashable, int] = {}
    kernels = [numbers.setdefault(region if joint else region.signature, len(numbers)) for region in regions]
    firsts = [regions[kernels.index(number)] for number in range(len(numbers))]
    mapped = firsts if joint is None else [joint]
    wave = None
    if prompt is None:
        allocations = [
            mine.allocate(region, machine, form, block, context, 1 if values else batch) for region in mapped
        ]
    else:
        # A prompt streams through in waves; each sequence of the batch has its own.
        wave, allocations = choose_wave(mapped, machine, form, prompt, batch)
        block, context = wave.rows, wave.context
    together = allocations
    if values and batch > 1:
        both = zip(mapped, allocations, strict=True)
        together = [mine.allocate(region, machine, form, batch, context, batch, like) for region, like in both]
    if joint is not None:
        # Same spread, same addresses.
        allocations, together = allocations * len(firsts), together * len(firsts)

    space = _Space(machine, granule)
    if joint is None:
        weight_bases = [space.take(allocations[kernel].weight_bytes) for kernel in kernels]
    else:
        weight_bases = [space.take(allocations[0].weight_bytes)] * len(regions)
    turns = None
    if graph.table is not None:
        rows, width = graph.table.shape
        if rows < (prompt or context):
            raise CompileError(f"the position table has {rows} rows, fewer than the context of {prompt or context}")
        stride = row_bytes(width, "f32")
        turns = (space.take(context * stride + granule), stride)
    weight_bytes = space.end
    boundaries = _boundaries(regions, columns, wave.positions if wave else max(block, batch), space)
    caches = [
        _caches(
            region,
            firsts[kernel],
            (allocations[kernel], together[kernel]),
            form,
            context,
            space,
            batch if values else 1,
        )
        for region, kernel in zip(regions, kernels, strict=True)
    ]
    sites = tuple(
        _site(region, kernel, base, kept, tail)
        for region, kernel, base, kept, tail in zip(
            regions, kernels, weight_bases, caches, _tails(regions), strict=True
        )
    )
    one_call = None
    if joint is not None and len(regions) > 1:
        one_call = _site(joint, len(firsts), weight_bases[0], tuple(chain(*caches)), tail=False)
        firsts, allocations, together = [*firsts, joint], [*allocations, allocations[0]], [*together, together[0]]
    space.check(weight_bytes)

    rotated = graph.table is not None
    # A kernel that earlier layers call too must work on all positions.
    tails = set(kernels) - {kernel for kernel, last in zip(kernels, _tails(regions), strict=True) if not last}
    names = [_kernel_name(region, kernels.count(at)) for at, region in enumerate(firsts)]

    @cache
    def lower_one(index: int, positions: int, sources: tuple[int, ...], joined: bool = False) -> Kernel:
        return mine.lower(
            firsts[index],
            (together if joined else allocations)[index],
            machine,
            form,
            positions=positions,
            sources=sources,
            context=context,
            rotated=rotated,
            name=names[index],
            batch=batch if joined or not (values or wave) else 1,
            planned=values,
            tail=index in tails,
            alone=allocations[index] if joined else None,
            place=mine.place,
            route=mine.route,
        )

    image, quantization = Image(), None
    if values:
        # The widest and the narrowest call must fit before weights are read; what fits as one call does so in parts.
        for index, region in list(enumerate(firsts))[-1 if one_call else 0 :]:
            for positions in sorted({1, block}):
                lower_one(index, positions, (positions,) * len(region.inputs))
            if batch > 1:
                lower_one(index, batch, (batch,) * len(region.inputs), True)
        placed = [
            entry
            for region, kernel, base in zip(regions, kernels, weight_bases, strict=True)
            for entry in _placed(region, firsts[kernel], allocations[kernel], base)
        ]
        table_base = turns[0] if turns else 0
        image, quantization = fill(placed, graph.table, table_base, context, form, space.banks, progress, shelf)
    return Program(
        graph=graph,
        machine=machine,
        dtype=dtype,
        fusion=fusion,
        context=context,
        block=block,
        sites=sites,
        whole=one_call,
        boundaries=boundaries,
        turns=turns,
        granule_bytes=granule,
        weight_bytes=weight_bytes,
        state_bytes=space.end - weight_bytes,
        image=image,
        lower=lower_one,
        values=values,
        reporter=reporter,
        quantization=quantization,
        batch=batch,
        explainer=explain,
    )


def _check_sums(graph: Graph, form: Format) -> None:
    """Whole numbers are summed in 32 bits, which more products than `LONGEST_EXACT_SUM` might not fit."""
    for op in graph.operators:
        if form.activation == "int8" and op.kind == "linear" and op.inputs[0].width > LONGEST_EXACT_SUM:
            raise CompileError(
                f"{op.name!r} sums {op.inputs[0].width} products; in {form.dtype} at most {LONGEST_EXACT_SUM} are "
                f"sure to fit 32 bits; dtype='int8' has no such limit"
            )


class _Space:
    """Addresses of HBM, given out from 0 upwards, in whole granules."""

    def __init__(self, machine: Machine, granule: int) -> None:
        self.machine = machine
        self.granule = granule
        self.end = 0

    def take(self, byte_count: int) -> int:
        base = self.end
        self.end += whole(byte_count, self.granule)
        return base

    def banks(self, parts: int) -> tuple[int, ...]:
        """From an address to the same in each socket that has a part of its own."""
        stride, sockets = socket_bytes(self.machine), self.machine.sockets
        return tuple(holder(part, parts, sockets) * stride for part in range(parts))

    def check(self, weight_bytes: int) -> None:
        have = self.machine.hbm.capacity_bytes
        if self.end > have:
            raise CompileError(
                f"the program needs {self.end} bytes of HBM ({weight_bytes} of weights, {self.end - weight_bytes} of "
                f"caches and activations), machine {self.machine.name!r} has hbm.capacity_bytes={have}: "
                f"{self.end - have} too many; "
                f"a shorter context or a narrower dtype would help"
            )


def _placed(region: Region, first: Region, allocation: Allocation, base: int) -> Iterator[Placed]:
    """Each layer of each stretch; ``first`` is the region whose operators the allocation names."""
    for stretch, model in zip(region.stretches, first.stretches, strict=True):
        offsets = tuple(allocation.offsets_of(model).values())
        if not offsets:
            continue
        start = min(offsets)
        size = allocation.layer_bytes[start]
        relative = tuple(offset - start for offset in offsets)
        for layer, body in enumerate(stretch.bodies):
            yield Placed(body, relative, size, base + start + layer * size)


def _boundaries(regions: list[Region], columns: dict[str, int], block: int, space: _Space) -> dict[str, Boundary]:
    """``columns``: widths of the outputs, all parts together."""
    found: dict[str, Boundary] = {}
    for region in regions:
        for tensor in (*region.inputs, *region.outputs):
            if tensor.name not in found:
                size, all_columns = row_bytes(tensor.width, "f32") * block, columns.get(tensor.name, tensor.width)
                banks = space.banks(tensor.parts)
                found[tensor.name] = Boundary(space.take(size), tensor.width, size, all_columns, banks)
    return found


def _caches(
    region: Region,
    first: Region,
    spreads: tuple[Allocation, Allocation],
    form: Format,
    context: int,
    space: _Space,
    batch: int,
) -> tuple[Cache, ...]:
    """Of every sequence alone, and in the same place of all together."""
    found = []
    for stretch, model in zip(region.stretches, first.stretches, strict=True):
        for op, named in zip(stretch.operators, model.operators, strict=True):
            if op.attention is None:
                continue
            alone, joint = (
                cache_layout(
                    op.attention, spread.attends[named.name], form, context, space.granule, space.machine.mapping
                )
                for spread in spreads
            )
            banks = space.banks(op.inputs[1].parts)
            cache = Cache(0, alone, stretch.layers, op.attention.window, batch, joint, banks)
            found.append(replace(cache, base=space.take(cache.bytes)))
    return tuple(found)


def _site(region: Region, kernel: int, weights: int, caches: tuple[Cache, ...], tail: bool) -> Site:
    inputs = tuple(tensor.name for tensor in region.inputs)
    outputs = tuple(tensor.name for tensor in region.outputs)
    return Site(region.name, kernel, weights, inputs, outputs, caches, tail)


def _tails(regions: list[Region]) -> list[bool]:
    """True for the calls after the last one that keeps rows of a sequence."""
    keeps = [any(op.kind == "attention" for op in region.operators) for region in regions]
    last = max((at for at, kept in enumerate(keeps) if kept), default=len(regions))
    return [at > last for at in range(len(regions))]


def _kernel_name(region: Region, calls: int) -> str:
    """Blocks that share a kernel are numbered; the kernel is called what they have in common."""
    head, _, number = region.name.rpartition(".")
    return head if calls > 1 and number.isdigit() else region.name
