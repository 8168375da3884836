//! Values of the tokens on a stream, contiguous, so that a block of firings reads and writes slices.

use super::body::Body;
use crate::operator::{Block, Operator};
use crate::program::Bound;
use smallvec::SmallVec;

/// The values of all tokens between being produced and being consumed.
#[derive(Default)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    head: usize,
    tail: usize,
    lanes: usize,
}

impl Buffer {
    /// `initial` tokens of zeros.
    pub(crate) fn new(initial: u64, lanes: usize) -> Self {
        let tail = initial as usize * lanes;
        Buffer { values: vec![0.0; tail], head: 0, tail, lanes }
    }

    /// The first value of token `ahead` from now.
    pub(crate) fn peek(&self, ahead: usize) -> f32 {
        self.values[self.head + ahead * self.lanes]
    }

    /// Makes room for `count` values behind the last; what was consumed is dropped when that makes the room.
    fn open(&mut self, count: usize) -> usize {
        if self.head == self.tail {
            (self.head, self.tail) = (0, 0);
        } else if self.tail + count > self.values.len() && self.head >= self.values.len() / 2 {
            self.values.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, self.tail - self.head);
        }
        if self.tail + count > self.values.len() {
            self.values.resize((self.tail + count).next_power_of_two(), 0.0);
        }
        self.tail += count;
        self.tail - count
    }
}

/// Runs `operator` for `firings` firings of `body` from firing `next` on: one block for each run of equal phases.
pub(crate) fn compute(
    bound: &Bound,
    buffers: &mut [Buffer],
    operator: &mut dyn Operator,
    body: &Body,
    next: usize,
    addresses: &[u64],
    firings: usize,
) -> Result<(), String> {
    let action = |firing: usize| body.actions[(next + firing) % body.actions.len()];
    let mut from = 0;
    while from < firings {
        let mut to = from + 1;
        while to < firings && action(to) == action(from) {
            to += 1;
        }
        block(
            bound,
            buffers,
            operator,
            action(from),
            addresses.get(from..to).unwrap_or_default(),
            to - from,
            body.again,
        )?;
        from = to;
    }
    Ok(())
}

fn block(
    bound: &Bound,
    buffers: &mut [Buffer],
    operator: &mut dyn Operator,
    action: usize,
    addresses: &[u64],
    firings: usize,
    again: bool,
) -> Result<(), String> {
    let action = &bound.program.actions[action];
    let (consume, produce) = (&bound.program.ends[action.consume.clone()], &bound.program.ends[action.produce.clone()]);
    let size = |buffers: &[Buffer], end: &crate::program::End| firings * end.rate as usize * buffers[end.stream].lanes;

    // The buffers of the outputs are taken out while their units write to them; a stream from a unit to itself is
    // among the inputs too, which are copied then.
    let copied: Vec<Vec<f32>> = if again {
        let values = |end: &crate::program::End| {
            let buffer = &buffers[end.stream];
            buffer.values[buffer.head..buffer.head + size(buffers, end)].to_vec()
        };
        consume.iter().map(values).collect()
    } else {
        Vec::new()
    };
    let mut outputs: SmallVec<[(usize, usize, Vec<f32>); 4]> = SmallVec::new();
    for end in produce {
        let count = size(buffers, end);
        let buffer = &mut buffers[end.stream];
        let start = buffer.open(count);
        outputs.push((end.index, start, std::mem::take(&mut buffer.values)));
    }
    let done = {
        let inputs: SmallVec<[(usize, &[f32]); 4]> = consume
            .iter()
            .enumerate()
            .map(|(at, end)| {
                let buffer = &buffers[end.stream];
                let values = match copied.get(at) {
                    Some(values) => &values[..],
                    None => &buffer.values[buffer.head..buffer.head + size(buffers, end)],
                };
                (end.index, values)
            })
            .collect();
        let mut slices: SmallVec<[(usize, &mut [f32]); 4]> = outputs
            .iter_mut()
            .zip(produce)
            .map(|((index, start, values), end)| {
                let stop = *start + size(buffers, end);
                (*index, &mut values[*start..stop])
            })
            .collect();
        let transfers = action.transfer.map(|pattern| (pattern, addresses));
        operator.fire_many(Block { phase: action.phase, firings, transfers, inputs: &inputs, outputs: &mut slices })
    };
    for (end, (_, _, values)) in produce.iter().zip(outputs) {
        buffers[end.stream].values = values;
    }
    for end in consume {
        let count = size(buffers, end);
        buffers[end.stream].head += count;
    }
    done
}
