//! Tile SRAM: one PMU (pattern memory unit) in time, and which buffer lies where in many of them.
//!
//! Read in this order: `description` (what a PMU is), `layout` (which word lies in which bank), `access` and `count`
//! (the words of a vector, bank by bank), `cost` (the cycles they take), `ports` (reads and writes against each other),
//! `ping_pong` and `transpose`; then `buffer`, `packing`, `allocate` and `remedy` for the allocator.

mod access;
mod allocate;
mod buffer;
mod canonical;
mod cost;
mod count;
mod description;
mod error;
mod layout;
mod packing;
mod ping_pong;
mod ports;
mod remedy;
mod search;
mod transpose;

pub use access::{Access, MOST_LANES, Pattern};
pub use allocate::{Allocation, allocate};
pub use buffer::{Buffer, Piece, Space, live_bytes};
pub use cost::{Cost, Demand, Pair};
pub use description::{BankPorts, Description, Port, Sram};
pub use error::{AllocationError, Full, Remedies, SramError};
pub use layout::Layout;
pub use ping_pong::{Overlap, PingPong};
pub use ports::{Ports, Served};
pub use transpose::{Matrix, Transposed};
