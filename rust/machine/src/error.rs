//! Why the machine could not take a kernel or finish a call.

use thiserror::Error;

#[derive(Debug, Error)]
pub enum MachineError {
    #[error(transparent)]
    Build(#[from] rdu_dataflow::BuildError),
    #[error(transparent)]
    Run(#[from] rdu_dataflow::RunError),
    #[error(transparent)]
    Memory(#[from] rdu_memory::MemoryError),
    #[error(transparent)]
    Arithmetic(#[from] rdu_kernels::KernelError),
    #[error("address {address:#x} with {bytes} bytes lies in no region of memory")]
    Address { address: u64, bytes: u64 },
    #[error("region {base:#x} with {bytes} bytes overlaps another")]
    Overlap { base: u64, bytes: u64 },
    #[error("kernel {kernel:?}: {what}")]
    Spec { kernel: String, what: String },
}
