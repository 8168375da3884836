use crate::error::{Check, KernelError};

/// Size of one vector on a stream.
pub const VECTOR_BYTES: usize = 64;

/// Element type of packed weights, caches and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    Bf16,
    F32,
    /// Whole numbers from -127 to 127; what they count is a scale that lies elsewhere.
    Int8,
}

impl Element {
    /// Elements in one 64-byte vector: 32 for bf16, 16 for f32, 64 for int8.
    pub const fn lanes(self) -> usize {
        VECTOR_BYTES / self.bytes()
    }

    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Element::Bf16 => 2,
            Element::F32 => 4,
            Element::Int8 => 1,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Element::Bf16 => "bf16",
            Element::F32 => "f32",
            Element::Int8 => "int8",
        }
    }
}

/// Borrowed data in whole 64-byte vectors; bf16 as its 16 bits.
#[derive(Debug, Clone, Copy)]
pub enum Vectors<'a> {
    Bf16(&'a [u16]),
    F32(&'a [f32]),
    Int8(&'a [i8]),
}

impl<'a> Vectors<'a> {
    pub const fn element(self) -> Element {
        match self {
            Vectors::Bf16(_) => Element::Bf16,
            Vectors::F32(_) => Element::F32,
            Vectors::Int8(_) => Element::Int8,
        }
    }

    /// Number of elements, padding included.
    pub const fn len(self) -> usize {
        match self {
            Vectors::Bf16(data) => data.len(),
            Vectors::F32(data) => data.len(),
            Vectors::Int8(data) => data.len(),
        }
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The vectors from number `start` on, or none if there are fewer.
    pub fn from_vector(self, start: usize) -> Option<Vectors<'a>> {
        let first = start.checked_mul(self.element().lanes())?;
        match self {
            Vectors::Bf16(data) => data.get(first..).map(Vectors::Bf16),
            Vectors::F32(data) => data.get(first..).map(Vectors::F32),
            Vectors::Int8(data) => data.get(first..).map(Vectors::Int8),
        }
    }

    pub(crate) fn check(self, check: Check, operand: &'static str) -> Result<(), KernelError> {
        check.whole(operand, self.len(), self.element().lanes())
    }
}
