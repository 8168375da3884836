//! The emulated machine = dataflow + memory + kernels: runs mapped kernels, call by call.

pub mod address;
mod aside;
pub mod contents;
mod crossing;
pub mod element;
pub mod error;
pub mod function;
pub mod image_file;
pub mod kernel;
pub mod plan;
pub mod session;
pub mod tiers;
pub mod timer;
pub mod tokens;
pub mod totals;
pub mod weights;

pub use contents::{Contents, Image};
pub use error::MachineError;
pub use kernel::{Kernel, KernelSpec};
pub use session::{Mode, Session};
pub use timer::{CallCosts, Pass, Timer};
pub use totals::{SessionTotals, Totals};
