//! Whether buffers fit below a height, by search over canonical placements, as in MiniMalloc (Moffitt, ASPLOS 2023).
//!
//! In a canonical placement no buffer can drop. Take its buffers from the lowest offset up: each then lies on top of those
//! before it, so a search that only stacks misses none. Cut off are: steps whose remaining bytes exceed the room above
//! their floor; buffers that come below one already placed (the same placement in another order); and buffers that
//! start above room in which another would fit whole (that other could drop). Stretches of time that no open buffer
//! connects are searched one after the other, not one inside the other.

use super::buffer::Buffer;
use super::search::Watch;

/// Buffers of one search, at most: it recurses once for each.
pub(super) const MOST: usize = 1024;
/// Nodes between two looks at the watch.
const LOOK: u64 = 256;

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Offsets by buffer.
    Fits(Vec<u64>),
    /// No placement exists.
    Never,
    /// Unknown: the nodes are used up.
    Unknown,
    Interrupted,
}

/// Why a search stopped before its answer.
enum Stop {
    Nodes,
    Watch,
}

struct Search<'a, 'w> {
    buffers: &'a [Buffer],
    /// Sections of each buffer's life: from one, to before another. Between two neighbours in time lives begin or end.
    lives: Vec<(usize, usize)>,
    height: u64,
    /// By buffer: what it takes from its offset to the next that any buffer may have.
    bytes: Vec<u64>,
    /// By section: where the stack ends, and the bytes that must still go on top.
    floor: Vec<u64>,
    open_bytes: Vec<u64>,
    offsets: Vec<u64>,
    /// By buffer: its place in the order.
    rank: Vec<usize>,
    nodes: u64,
    watch: &'a mut Watch<'w>,
}

/// Searches for offsets with all ends at or below `height`, trying buffers in `order` first, in `nodes` nodes.
pub(super) fn search(buffers: &[Buffer], height: u64, order: &[usize], nodes: u64, watch: &mut Watch<'_>) -> Outcome {
    let mut cuts: Vec<u64> = buffers.iter().map(|b| b.first_use).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let section = |step: u64| cuts.partition_point(|cut| *cut <= step);
    let lives: Vec<(usize, usize)> = buffers.iter().map(|b| (section(b.first_use) - 1, section(b.last_use))).collect();
    // Below a height that is an offset itself nothing is lost by counting what alignment wastes, and much is cut off.
    let unit = unit(buffers);
    let padded = |buffer: &Buffer| {
        if height.is_multiple_of(unit) { buffer.bytes.next_multiple_of(unit) } else { buffer.bytes }
    };
    let bytes: Vec<u64> = buffers.iter().map(padded).collect();
    let mut open_bytes = vec![0; cuts.len()];
    for (bytes, &(from, to)) in bytes.iter().zip(&lives) {
        open_bytes[from..to].iter_mut().for_each(|open| *open += bytes);
    }
    let mut rank = vec![0; buffers.len()];
    for (place, &at) in order.iter().enumerate() {
        rank[at] = place;
    }
    let (floor, offsets) = (vec![0; cuts.len()], vec![0; buffers.len()]);
    let mut search = Search { buffers, lives, height, bytes, floor, open_bytes, offsets, rank, nodes, watch };
    let found = search.place(order, (0, 0));
    match found {
        Ok(true) => Outcome::Fits(search.offsets),
        Ok(false) => Outcome::Never,
        Err(Stop::Nodes) => Outcome::Unknown,
        Err(Stop::Watch) => Outcome::Interrupted,
    }
}

/// Every offset is a multiple of this.
pub(super) fn unit(buffers: &[Buffer]) -> u64 {
    buffers.iter().map(|buffer| buffer.alignment_bytes).min().unwrap_or(1)
}

impl Search<'_, '_> {
    /// Places the open buffers, none below `last`: the offset of the one before, and its place in the order.
    fn place(&mut self, open: &[usize], last: (u64, usize)) -> Result<bool, Stop> {
        if open.is_empty() {
            return Ok(true);
        }
        if self.nodes == 0 {
            return Err(Stop::Nodes);
        }
        self.nodes -= 1;
        if self.nodes.is_multiple_of(LOOK) && !(self.watch)() {
            return Err(Stop::Watch);
        }
        let parts = self.parts(open);
        if parts.len() > 1 {
            let before = (self.floor.clone(), self.open_bytes.clone());
            for part in parts {
                if !self.place(&part, last)? {
                    // The parts before it were placed for nothing.
                    (self.floor, self.open_bytes) = before;
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let lowest: Vec<u64> = open.iter().map(|&at| self.lowest(at)).collect();
        if !self.has_room(open, &lowest, last.0) {
            return Ok(false);
        }
        let ends = open.iter().zip(&lowest).map(|(&at, offset)| offset + self.bytes[at]);
        let lid = ends.min().unwrap_or(u64::MAX);
        let mut rest = Vec::with_capacity(open.len() - 1);
        let mut ranked: Vec<usize> = (0..open.len())
            .filter(|&rank| lowest[rank] < lid && (lowest[rank], self.rank[open[rank]]) >= last)
            .collect();
        ranked.sort_by_key(|&rank| lowest[rank]);
        for rank in ranked {
            let (at, offset) = (open[rank], lowest[rank]);
            rest.clear();
            rest.extend(open[..rank].iter().chain(&open[rank + 1..]));
            let (from, to) = self.lives[at];
            let before: Vec<u64> = self.floor[from..to].to_vec();
            self.stack(at, offset);
            let fits = (from..to).all(|section| self.floor[section] + self.open_bytes[section] <= self.height);
            if fits && self.place(&rest, (offset, self.rank[at]))? {
                return Ok(true);
            }
            self.floor[from..to].copy_from_slice(&before);
            let bytes = self.bytes[at];
            self.open_bytes[from..to].iter_mut().for_each(|open| *open += bytes);
        }
        Ok(false)
    }

    fn stack(&mut self, at: usize, offset: u64) {
        let ((from, to), bytes) = (self.lives[at], self.bytes[at]);
        self.offsets[at] = offset;
        self.floor[from..to].fill(offset + bytes);
        self.open_bytes[from..to].iter_mut().for_each(|open| *open -= bytes);
    }

    /// The lowest offset on top of what is placed.
    fn lowest(&self, at: usize) -> u64 {
        let ((from, to), mask) = (self.lives[at], self.buffers[at].alignment_bytes - 1);
        let floor = self.floor[from..to].iter().copied().max().unwrap_or(0);
        (floor + mask) & !mask
    }

    /// Whether each section can still take its open buffers, none of which starts below `last` or its own lowest offset.
    fn has_room(&self, open: &[usize], lowest: &[u64], last: u64) -> bool {
        let mut start = vec![u64::MAX; self.floor.len()];
        for (&at, &offset) in open.iter().zip(lowest) {
            let (from, to) = self.lives[at];
            start[from..to].iter_mut().for_each(|start| *start = (*start).min(offset.max(last)));
        }
        let mut sections = start.iter().zip(&self.open_bytes);
        sections.all(|(start, open)| *start == u64::MAX || start + open <= self.height)
    }

    /// The open buffers, in parts that share no section.
    fn parts(&self, open: &[usize]) -> Vec<Vec<usize>> {
        let mut reach = vec![0; self.floor.len()];
        for &at in open {
            let (from, to) = self.lives[at];
            reach[from] = to.max(reach[from]);
        }
        let (mut part_of, mut parts, mut end) = (vec![0; self.floor.len()], 0, 0);
        for (section, &to) in reach.iter().enumerate() {
            if to > 0 && section >= end {
                parts += 1;
            }
            end = end.max(to);
            part_of[section] = parts;
        }
        if parts <= 1 {
            return vec![Vec::new(); parts];
        }
        let mut found = vec![Vec::new(); parts];
        for &at in open {
            found[part_of[self.lives[at].0] - 1].push(at);
        }
        found
    }
}
