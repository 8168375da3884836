//! Timed dataflow: units joined by bounded streams, and the firing rule that moves tokens between them.
//!
//! Values do not depend on the schedule, and the schedule does not depend on values; see `step` for the rule itself.

pub mod analysis;
pub mod counters;
pub mod deadlock;
mod door;
pub mod engine;
pub mod error;
mod fast;
mod marking;
pub mod nest;
pub mod observe;
pub mod observer;
pub mod occupancy;
pub mod operator;
pub mod port;
pub mod program;
pub mod remedy;
pub mod repetition;
mod ring;
mod step;
pub mod stream;
pub mod table;
pub mod unit;

pub use counters::{Counters, Run, StreamTotals, UnitTotals};
pub use engine::{Decisions, Mode, Setup, Watch, simulate};
pub use error::{BuildError, RunError};
pub use nest::{Nest, Phase, Times};
pub use observer::{Fired, Observer, State};
pub use operator::{Block, Firing, Operator, Tokens};
pub use port::{Answer, Memory, NoMemory, Request};
pub use program::{Bound, Call, Program};
pub use remedy::Remedy;
pub use stream::Stream;
pub use unit::{Choice, Pattern, Port, Unit};
