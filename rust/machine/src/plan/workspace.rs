//! Buffers that steps of a plan, and calls of a session, hand on to each other.

/// Spare buffers. Fresh memory would cost a page fault for every 4 KiB.
#[derive(Debug, Default)]
pub struct Workspace {
    spare: Vec<Vec<f32>>,
}

impl Workspace {
    /// A buffer of `len` values; what they are is left open.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        match self.spare.iter().rposition(|buffer| buffer.len() == len) {
            Some(at) => self.spare.swap_remove(at),
            None => vec![0.0; len],
        }
    }

    pub fn give(&mut self, buffer: Vec<f32>) {
        if !buffer.is_empty() {
            self.spare.push(buffer);
        }
    }

    /// Frees all but buffers of these lengths.
    pub fn keep(&mut self, wanted: impl Fn(usize) -> bool) {
        self.spare.retain(|buffer| wanted(buffer.len()));
    }
}
