//! The element types of streams and memory, as descriptions name them.

use serde::Deserialize;

/// An element type of streams and memory.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    Bf16,
    F32,
    Int8,
}

impl From<Element> for rdu_kernels::Element {
    fn from(element: Element) -> Self {
        match element {
            Element::Bf16 => rdu_kernels::Element::Bf16,
            Element::F32 => rdu_kernels::Element::F32,
            Element::Int8 => rdu_kernels::Element::Int8,
        }
    }
}

impl Element {
    pub fn lanes(self) -> usize {
        rdu_kernels::Element::from(self).lanes()
    }
}
