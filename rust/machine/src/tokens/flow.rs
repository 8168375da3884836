//! Units that move tokens and do not change them.

use crate::contents::Contents;
use crate::element::Element;
use rdu_dataflow::{Firing, Operator};
use std::sync::{Arc, Mutex};

const LOST: &str = "the contents of memory are lost";

pub struct Load {
    pub elements: Vec<Element>,
    pub contents: Arc<Mutex<Contents>>,
}

impl Operator for Load {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let (transfer, address) = firing.transfer.ok_or("a load without an address")?;
        let element = *self.elements.get(transfer).ok_or("a load without an element type")?;
        let contents = self.contents.lock().map_err(|_| LOST)?;
        firing.outputs.multicast(|out| {
            let values = contents.values(address, out.len(), element.into()).map_err(|error| error.to_string())?;
            out.copy_from_slice(&values);
            Ok(())
        })
    }
}

pub struct Store {
    pub element: Element,
    pub contents: Arc<Mutex<Contents>>,
}

impl Operator for Store {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let (_, address) = firing.transfer.ok_or("a store without an address")?;
        let mut contents = self.contents.lock().map_err(|_| LOST)?;
        for (_, values) in firing.inputs.iter() {
            contents.put(address, values, self.element.into()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The read port of a buffer.
pub struct Copy;

impl Operator for Copy {
    fn fire(&mut self, firing: Firing<'_>) -> Result<(), String> {
        let input = firing.inputs.get(0);
        firing.outputs.multicast(|out| {
            out.copy_from_slice(input);
            Ok(())
        })
    }
}
