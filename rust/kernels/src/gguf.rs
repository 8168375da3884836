//! Quantised blocks as GGUF files store them, widened to fp32: the steps, and so the bits, of the `gguf` package.

use half::f16;
use rayon::prelude::*;

use crate::{KernelError, error::Check};

/// Blocks of one task: 128 KB of fp32.
const TASK_BLOCKS: usize = 1 << 10;

/// What a block is made of: a scale d and whole numbers q; where there is a least value m, a value is q * d + m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
}

impl Blocks {
    /// Values of a block.
    pub const VALUES: usize = 32;

    /// The kind of that name, as GGUF has it.
    pub fn named(name: &str) -> Option<Blocks> {
        Some(match name {
            "Q8_0" => Blocks::Q8_0,
            "Q4_0" => Blocks::Q4_0,
            "Q4_1" => Blocks::Q4_1,
            "Q5_0" => Blocks::Q5_0,
            "Q5_1" => Blocks::Q5_1,
            _ => return None,
        })
    }

    /// Bytes of a block of 32 values.
    pub const fn bytes(self) -> usize {
        match self {
            Blocks::Q8_0 => 34,
            Blocks::Q4_0 => 18,
            Blocks::Q4_1 => 20,
            Blocks::Q5_0 => 22,
            Blocks::Q5_1 => 24,
        }
    }
}

/// Widens blocks to `out`. Errors: bytes that are not the blocks of so many values.
pub fn dequantize(kind: Blocks, blocks: &[u8], out: &mut [f32]) -> Result<(), KernelError> {
    let check = Check("dequantize");
    check.whole("out", out.len(), Blocks::VALUES)?;
    check.length("blocks", blocks.len(), check.product("blocks", out.len() / Blocks::VALUES, kind.bytes())?)?;
    let tasks = blocks.par_chunks(TASK_BLOCKS * kind.bytes()).zip(out.par_chunks_mut(TASK_BLOCKS * Blocks::VALUES));
    tasks.for_each(|(blocks, out)| widen_blocks(kind, blocks, out));
    Ok(())
}

/// As many blocks as there are, and room for.
pub(crate) fn widen_blocks(kind: Blocks, blocks: &[u8], out: &mut [f32]) {
    match kind {
        Blocks::Q8_0 => each::<34>(blocks, out, |block, out| {
            let d = half(block, 0);
            for (value, q) in out.iter_mut().zip(&block[2..]) {
                *value = f32::from(q.cast_signed()) * d;
            }
        }),
        Blocks::Q4_0 => each::<18>(blocks, out, |block, out| {
            let d = half(block, 0);
            nibbles(&block[2..], 0, out, |q| d * (f32::from(q) - 8.0));
        }),
        Blocks::Q4_1 => each::<20>(blocks, out, |block, out| {
            let (d, m) = (half(block, 0), half(block, 2));
            nibbles(&block[4..], 0, out, |q| d * f32::from(q) + m);
        }),
        Blocks::Q5_0 => each::<22>(blocks, out, |block, out| {
            let d = half(block, 0);
            nibbles(&block[6..], fifth_bits(block, 2), out, |q| d * (f32::from(q) - 16.0));
        }),
        Blocks::Q5_1 => each::<24>(blocks, out, |block, out| {
            let (d, m) = (half(block, 0), half(block, 2));
            nibbles(&block[8..], fifth_bits(block, 4), out, |q| d * f32::from(q) + m);
        }),
    }
}

fn each<const BYTES: usize>(blocks: &[u8], out: &mut [f32], widen: impl Fn(&[u8; BYTES], &mut [f32; Blocks::VALUES])) {
    for (block, out) in blocks.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        widen(block, out);
    }
}

/// Sixteen bytes: their low halves are the first values, their high halves the others; a fifth bit comes from `fifth`.
#[inline(always)]
fn nibbles(bytes: &[u8], fifth: u32, out: &mut [f32; Blocks::VALUES], value: impl Fn(u8) -> f32) {
    let (low, high) = out.split_at_mut(Blocks::VALUES / 2);
    for (at, ((low, high), byte)) in low.iter_mut().zip(high).zip(bytes).enumerate() {
        let bit = |at: usize| ((fifth >> at & 1) as u8) << 4;
        *low = value(byte & 15 | bit(at));
        *high = value(byte >> 4 | bit(at + Blocks::VALUES / 2));
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn fifth_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_their_format_says() {
        let (d, m) = (f16::from_f32(0.5).to_le_bytes(), f16::from_f32(-1.0).to_le_bytes());
        let mut out = [0.0; Blocks::VALUES];
        let mut widened = |kind: Blocks, head: &[u8], body: &[u8]| {
            let block: Vec<u8> = head.iter().chain(body).copied().collect();
            dequantize(kind, &block, &mut out).map(|()| [out[0], out[15], out[16], out[31]])
        };
        // First and last of the low halves, first and last of the high ones.
        let mut body = [0; 16];
        (body[0], body[15]) = (0x2f, 0x91);
        assert_eq!(widened(Blocks::Q4_0, &d, &body), Ok([3.5, -3.5, -3.0, 0.5]));
        assert_eq!(widened(Blocks::Q4_1, &[d, m].concat(), &body), Ok([6.5, -0.5, 0.0, 3.5]));
        let fifth = (1_u32 | 1 << 31).to_le_bytes();
        assert_eq!(widened(Blocks::Q5_0, &[&d[..], &fifth].concat(), &body), Ok([7.5, -7.5, -7.0, 4.5]));
        assert_eq!(widened(Blocks::Q5_1, &[&d[..], &m, &fifth].concat(), &body), Ok([14.5, -0.5, 0.0, 11.5]));
        let mut whole = [0; 32];
        (whole[0], whole[15], whole[16], whole[31]) = (127, 0x80, 0xff, 3);
        assert_eq!(widened(Blocks::Q8_0, &d, &whole), Ok([63.5, -64.0, -0.5, 1.5]));
        assert!(widened(Blocks::Q8_0, &d, &whole[1..]).is_err(), "a byte too few");
        assert!(dequantize(Blocks::Q8_0, &[], &mut [0.0]).is_err(), "no whole block");
        assert_eq!(Blocks::named("Q4_K"), None);
    }
}
