//! The element types of streams and memory, as descriptions name them.

use rdu_kernels::BlockType;
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

/// A kind of block, see `rdu_kernels::BlockType`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    Q8_0,
    Q4_0,
    Q4_1,
}

impl From<Block> for BlockType {
    fn from(block: Block) -> Self {
        match block {
            Block::Q8_0 => BlockType::Q8_0,
            Block::Q4_0 => BlockType::Q4_0,
            Block::Q4_1 => BlockType::Q4_1,
        }
    }
}

/// What a linear operator's weights are: values, or blocks of whole numbers that hold their scales.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum WeightElement {
    Values(Element),
    Blocks(Block),
}

impl From<Element> for WeightElement {
    fn from(element: Element) -> Self {
        WeightElement::Values(element)
    }
}

impl WeightElement {
    /// Outputs of a tile.
    pub fn lanes(self) -> usize {
        match self {
            WeightElement::Values(element) => element.lanes(),
            WeightElement::Blocks(_) => BlockType::LANES,
        }
    }

    /// Element of the scales and the bias that lie beside the weights.
    pub fn beside(self) -> Element {
        match self {
            WeightElement::Values(Element::Int8) | WeightElement::Blocks(_) => Element::F32,
            WeightElement::Values(element) => element,
        }
    }
}
