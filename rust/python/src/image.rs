//! Constants in the emulated memory: filled once, then shared by every session.

use crate::errors;
use numpy::{PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use rdu_kernels::{BlockRows, BlockType, Element, Rows, VECTOR_BYTES};
use rdu_machine::weights::{Cut, Place, Weight, put_blocks, put_tiles};
use rdu_machine::{Contents, Image as Memory, MachineError, image_file};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Image>()
}

/// Values from Python: float32, or bfloat16 as its bits in uint16.
#[derive(FromPyObject)]
pub enum Values<'py> {
    F32(PyReadonlyArrayDyn<'py, f32>),
    Bits(PyReadonlyArrayDyn<'py, u16>),
}

impl Values<'_> {
    fn rows(&self) -> PyResult<Rows<'_>> {
        Ok(match self {
            Values::F32(array) => Rows::F32(array.as_slice()?),
            Values::Bits(array) => Rows::Bf16(array.as_slice()?),
        })
    }

    fn shape(&self) -> &[usize] {
        match self {
            Values::F32(array) => array.shape(),
            Values::Bits(array) => array.shape(),
        }
    }
}

/// A weight from Python that is to lie in blocks: rows of them as a file has them, or values.
#[derive(FromPyObject)]
pub enum Blocks<'py> {
    Stored(PyReadonlyArray2<'py, u8>),
    Rounded(Values<'py>),
}

/// The element type of that name.
pub fn element(py: Python<'_>, name: &str) -> PyResult<Element> {
    match name {
        "bf16" => Ok(Element::Bf16),
        "f32" => Ok(Element::F32),
        "int8" => Ok(Element::Int8),
        _ => Err(errors::graph(py, format!("element is {name:?}; it must be \"bf16\", \"f32\" or \"int8\""))),
    }
}

/// Outputs and inputs of a weight.
fn matrix(py: Python<'_>, shape: &[usize]) -> PyResult<[usize; 2]> {
    shape.try_into().map_err(|_| errors::graph(py, format!("a weight of shape {shape:?} has no tiles")))
}

/// What several sockets share out of a weight: axis 0 its outputs, 1 its inputs.
fn cut(axis: usize) -> Cut {
    if axis == 0 { Cut::Outputs } else { Cut::Inputs }
}

/// Regions of memory that hold weights and tables. `freeze` ends the filling.
#[pyclass(frozen, module = "rdu._core")]
pub struct Image {
    contents: Mutex<Contents>,
    frozen: Mutex<Option<Arc<Memory>>>,
}

impl Image {
    /// The filled image; nothing can be added after the first call.
    pub fn shared(&self) -> Arc<Memory> {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        frozen.get_or_insert_with(|| Arc::new(std::mem::take(&mut contents.state))).clone()
    }
}

#[pymethods]
impl Image {
    #[new]
    fn new() -> Self {
        Image { contents: Mutex::default(), frozen: Mutex::default() }
    }

    /// Bytes of all regions.
    #[getter]
    fn size_bytes(&self) -> u64 {
        let size = |memory: &Memory| memory.regions().map(|(_, data)| data.len() as u64).sum();
        let frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        frozen.as_deref().map_or_else(|| size(&contents.state), size)
    }

    /// Adds `bytes` zeroed bytes at address `base`.
    fn reserve(&self, py: Python<'_>, base: u64, bytes: u64) -> PyResult<()> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.state.reserve(base, bytes).map_err(|error| errors::machine(py, error))
    }

    /// What `save` wrote there, mapped, and its note; None for anything else. More can be added to it.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> Option<(Self, String)> {
        let (state, note) = py.detach(|| image_file::open(&path))?;
        let contents = Contents { state, ..Contents::default() };
        Some((Image { contents: Mutex::new(contents), frozen: Mutex::default() }, note))
    }

    /// Writes all that the image holds so far, and a note, to a file.
    fn save(&self, py: Python<'_>, path: PathBuf, note: &str) -> PyResult<()> {
        let saved = py.detach(|| {
            let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            image_file::save(&contents.state, note, &path)
        });
        Ok(saved?)
    }

    /// Writes a weight `(outputs, inputs)` as the tiles that linear operators stream, and for whole numbers at `scales` what
    /// they count. With several bases, each gets a part of the outputs (`axis` 0) or of the inputs (1). Returns how many
    /// values are not finite; and sums of squares, of what quantising took from the weights and of the weights.
    fn put_tiles(
        &self,
        py: Python<'_>,
        bases: Vec<u64>,
        weight: Values<'_>,
        element_name: &str,
        scales: Vec<u64>,
        axis: usize,
    ) -> PyResult<(usize, f64, f64)> {
        let (rows, element) = (weight.rows()?, element(py, element_name)?);
        let [outer, inner] = matrix(py, weight.shape())?;
        let places: Vec<Place> =
            bases.iter().enumerate().map(|(at, &tiles)| Place { tiles, scales: scales.get(at).copied() }).collect();
        let done = py.detach(|| -> Result<_, MachineError> {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            let loss = put_tiles(&mut contents, Weight { rows, outer, inner }, element, cut(axis), &places)?;
            Ok((rows.not_finite(), loss.lost, loss.total))
        });
        done.map_err(|error| errors::machine(py, error))
    }

    /// Writes a weight `(outputs, inputs)` as tiles of blocks: values are rounded to blocks, the bytes of blocks
    /// `(outputs, bytes of a row)` are taken as they are. Bases, `axis` and result as in `put_tiles`.
    fn put_blocks(
        &self,
        py: Python<'_>,
        bases: Vec<u64>,
        weight: Blocks<'_>,
        type_name: &str,
        axis: usize,
    ) -> PyResult<(usize, f64, f64)> {
        let Some(kind) = BlockType::named(type_name) else {
            let names = BlockType::ALL.map(BlockType::name).join(", ");
            return Err(errors::graph(py, format!("a type of blocks is {type_name:?}; it must be one of {names}")));
        };
        let (rows, shape) = match &weight {
            Blocks::Stored(data) => {
                let [outer, row] = matrix(py, data.shape())?;
                (BlockRows::Stored(data.as_slice()?), [outer, row / kind.bytes() * BlockType::WEIGHTS])
            }
            Blocks::Rounded(values) => (BlockRows::Rounded(values.rows()?), matrix(py, values.shape())?),
        };
        let places: Vec<Place> = bases.iter().map(|&tiles| Place { tiles, scales: None }).collect();
        let done = py.detach(|| {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            put_blocks(&mut contents, rows, shape, kind, cut(axis), &places)
        });
        let done = done.map_err(|error| errors::machine(py, error))?;
        Ok((done.not_finite, done.loss.lost, done.loss.total))
    }

    /// Writes an array `(rows, columns)` row by row, each padded to whole vectors. Returns how many values are not finite.
    fn put_rows(&self, py: Python<'_>, base: u64, table: Values<'_>, element_name: &str) -> PyResult<usize> {
        let (rows, element) = (table.rows()?, element(py, element_name)?);
        let columns = table.shape()[1];
        let stride = (columns.div_ceil(element.lanes()) * VECTOR_BYTES) as u64;
        let done = py.detach(|| {
            let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            let mut wide = vec![0.0; columns];
            let count = table_rows(rows, columns);
            for row in 0..count {
                match rows {
                    Rows::F32(data) => wide.copy_from_slice(&data[row * columns..(row + 1) * columns]),
                    Rows::Bf16(data) => rdu_kernels::widen(&data[row * columns..(row + 1) * columns], &mut wide)?,
                }
                contents.put(base + row as u64 * stride, &wide, element)?;
            }
            Ok(rows.not_finite())
        });
        done.map_err(|error| errors::machine(py, error))
    }
}

fn table_rows(rows: Rows<'_>, columns: usize) -> usize {
    let len = match rows {
        Rows::F32(data) => data.len(),
        Rows::Bf16(data) => data.len(),
    };
    len.checked_div(columns).unwrap_or(0)
}
