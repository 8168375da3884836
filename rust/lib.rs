//! One door to the engine crates: see `rust/README.md` for who may depend on whom.

pub use rdu_dataflow as dataflow;
pub use rdu_kernels as kernels;
pub use rdu_machine as machine;
pub use rdu_memory as memory;
