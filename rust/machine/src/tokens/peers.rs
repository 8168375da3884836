//! Units that exchange vectors between sockets: each knows which of its streams belongs to which socket.

use crate::plan::Order;
use rdu_dataflow::{Firing, Operator};

/// Deals a group of vectors, a stretch for each socket: output i gets stretch `order[i]`, or padding where the group ends
/// before it.
pub struct Scatter {
    pub order: Vec<usize>,
}

impl Operator for Scatter {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let input = firing.inputs.get(0);
        for (at, &stretch) in self.order.iter().enumerate() {
            let out = firing.outputs.get_mut(at);
            match input.get(stretch * out.len()..(stretch + 1) * out.len()) {
                Some(values) => out.copy_from_slice(values),
                None => out.fill(0.0),
            }
        }
        Ok(())
    }
}

/// The opposite: stretch i of what leaves comes from input `order[i]`; a last group may have fewer than there are inputs.
pub struct Collect {
    pub order: Vec<usize>,
}

impl Operator for Collect {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let group: Vec<f32> = self.order.iter().flat_map(|&at| firing.inputs.get(at)).copied().collect();
        firing.outputs.multicast(|out| {
            out.copy_from_slice(group.get(..out.len()).ok_or("more leaves than came")?);
            Ok(())
        })
    }
}

/// Adds what all sockets sent, in the tree of their numbers: socket i's comes in at `order[i]`.
pub struct Sum {
    pub order: Vec<usize>,
}

impl Operator for Sum {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let parts: Vec<&[f32]> = self.order.iter().map(|&at| firing.inputs.get(at)).collect();
        let width = parts.first().map_or(0, |part| part.len());
        if parts.iter().any(|part| part.len() != width) {
            return Err("sockets sent different numbers of vectors".into());
        }
        let mut sum = vec![0.0; width];
        Order::Tree.add(&parts, width, &mut sum).map_err(|error| error.to_string())?;
        firing.outputs.multicast(|out| {
            out.copy_from_slice(sum.get(..out.len()).ok_or("more leaves than came")?);
            Ok(())
        })
    }
}
