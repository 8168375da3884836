//! Sums over sockets: the partial sums of each, in the order in which the sockets add them.

use crate::element::Element;
use rdu_kernels::{KernelError, tree_sum};
use serde::Deserialize;

/// In which order the tensors of a sum are added.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Neighbours, then neighbouring pairs, and so on: the tree of a sum that is split.
    Tree,
    /// One after another. Vector i of a row ends with tensor i modulo their number, and begins with the one after that.
    Ring,
}

impl Order {
    /// y = the sum of `inputs`, each `[positions][width]`.
    pub fn add(self, inputs: &[&[f32]], width: usize, y: &mut [f32]) -> Result<(), KernelError> {
        match self {
            Order::Tree => {
                let mut parts = inputs.concat();
                y.copy_from_slice(tree_sum(&mut parts, y.len())?);
            }
            Order::Ring => {
                let lanes = Element::F32.lanes();
                for (row, y) in y.chunks_mut(width.max(1)).enumerate() {
                    for (chunk, y) in y.chunks_mut(lanes).enumerate() {
                        let first = row * width + chunk * lanes;
                        for step in 0..inputs.len() {
                            let x = &inputs[(chunk + 1 + step) % inputs.len()][first..first + y.len()];
                            match step {
                                0 => y.copy_from_slice(x),
                                _ => y.iter_mut().zip(x).for_each(|(y, x)| *y += x),
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_begins_behind_the_owner_of_a_vector() {
        // 1 + 1e8 - 1e8 is 0 in fp32, and 1e8 - 1e8 + 1 is 1: what is added last tells.
        let (one, big, less) = (vec![1.0; 80], vec![1e8; 80], vec![-1e8; 80]);
        let mut y = vec![0.0; 80];
        Order::Ring.add(&[&one, &big, &less], 40, &mut y).unwrap();
        let row: Vec<f32> = [[1.0; 16], [0.0; 16]].concat().into_iter().chain([0.0; 8]).collect();
        assert_eq!(y, [&row[..], &row[..]].concat(), "vectors of a row of 40: 0 ends with 1, 1 with 1e8, 2 with -1e8");
        Order::Tree.add(&[&one, &big, &less], 40, &mut y).unwrap();
        assert_eq!(y, vec![0.0; 80], "(1 + 1e8) - 1e8");
    }
}
