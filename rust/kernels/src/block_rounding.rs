//! Weights rounded to blocks: the steps, and so the bits, of ggml's reference and of the `gguf` package.

use half::f16;

use crate::BlockType;

/// The largest block of any type, in bytes.
pub(crate) const LARGEST: usize = 34;

/// Writes the block of 32 weights as a file has it: `kind.bytes()` bytes.
///
/// A NaN among the weights gives a scale that is one, and so does what is too large for fp16: infinity. Then the whole
/// block is NaN, and nothing is hidden.
pub(crate) fn round_block(kind: BlockType, weights: &[f32; BlockType::WEIGHTS], block: &mut [u8]) {
    match kind {
        BlockType::Q8_0 => {
            let scale = largest(weights).abs() / 127.0;
            let inverse = inverse(scale);
            let (head, body) = block.split_at_mut(2);
            head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            for (byte, weight) in body.iter_mut().zip(weights) {
                // To the nearest, ties away from zero.
                *byte = ((weight * inverse).round() as i8).cast_unsigned();
            }
        }
        BlockType::Q4_0 => {
            let scale = largest(weights) / -8.0;
            let inverse = inverse(scale);
            let (head, body) = block.split_at_mut(2);
            head.copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            nibbles(weights, body, |weight| weight * inverse + 8.5);
        }
        BlockType::Q4_1 => {
            let ordered = |a: &f32, b: &f32| if a.is_nan() || b.is_nan() { f32::NAN } else { a.min(*b) };
            let least = weights.iter().fold(f32::INFINITY, |least, weight| ordered(&least, weight));
            let most = -weights.iter().fold(f32::INFINITY, |least, weight| ordered(&least, &-weight));
            let scale = (most - least) / 15.0;
            let inverse = inverse(scale);
            let (head, body) = block.split_at_mut(4);
            head[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            head[2..].copy_from_slice(&f16::from_f32(least).to_le_bytes());
            nibbles(weights, body, |weight| (weight - least) * inverse + 0.5);
        }
    }
}

/// The first of those with the largest magnitude, with its sign; NaN before all others.
fn largest(weights: &[f32; BlockType::WEIGHTS]) -> f32 {
    // As bits, magnitudes are ordered like whole numbers, and NaN comes after infinity.
    let magnitude = |weight: f32| weight.abs().to_bits();
    weights.iter().fold(0.0, |most, &weight| if magnitude(weight) > magnitude(most) { weight } else { most })
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Two to a byte: the first sixteen in the low halves, the others in the high ones.
fn nibbles(weights: &[f32; BlockType::WEIGHTS], body: &mut [u8], value: impl Fn(f32) -> f32) {
    let (low, high) = weights.split_at(BlockType::WEIGHTS / 2);
    // Conversion cuts the fraction off, and limits to 0 .. 255.
    let nibble = |weight: f32| (value(weight) as u8).min(15);
    for ((byte, low), high) in body.iter_mut().zip(low).zip(high) {
        *byte = nibble(*low) | nibble(*high) << 4;
    }
}
