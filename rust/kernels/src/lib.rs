//! The arithmetic of the emulated machine, in its declared order.
//!
//! Every product and sum is an fp32 fused multiply-add whose order is fixed by the operands' shapes, never by the
//! SIMD level or the number of threads; whole numbers (int8) are summed exactly. The order is written down in `docs/numerics.md`.

mod block;
mod block_rounding;
mod block_row;
mod block_tiles;
mod block_type;
mod dot;
mod element;
mod error;
mod exponential;
mod gate;
mod gguf;
mod integer;
mod interleave;
mod level;
mod linear;
mod norm;
mod order;
mod pack;
mod panel;
mod quantize;
mod read;
mod region;
mod rotary;
mod round;
mod row;
mod simd;
mod softmax;
mod team;
#[cfg(test)]
mod threads;
mod tile;
mod tiled;

pub use block_row::mac_block;
pub use block_tiles::{BlockRows, Coded, pack_blocks};
pub use block_type::BlockType;
pub use dot::{accumulate, accumulate_at, dot, dot_at, mac, mix, mix_at, scores, scores_at};
pub use element::{Element, VECTOR_BYTES, Vectors};
pub use error::KernelError;
pub use exponential::{exp, exp_at};
pub use gate::{add, add_at, mul, mul_at, silu, silu_at, silu_mul, silu_mul_at};
pub use gguf::{Blocks, dequantize};
pub use level::Level;
pub use linear::{Activations, LONGEST_INTEGER_SUM, Linear, Product, linear, linear_at, linears, linears_at};
pub use norm::{rms_norm, rms_norm_at};
pub use order::{split_range, tree_sum};
pub use pack::{Loss, Packed, Room, Rows, pack, pack_into, tile_count};
pub use quantize::{quantize, quantize_at};
pub use read::read;
pub use rotary::{Pairing, rotate, rotate_at};
pub use round::{narrow, narrow_at, round, round_at, widen};
pub use softmax::{softmax, softmax_at};
pub use team::{awake, each, try_each};
pub use tiled::Tiled;
