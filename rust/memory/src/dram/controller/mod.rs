//! Controllers: they hold requests and choose commands. Each is one policy over the same banks.

pub mod bank_queues;
pub mod burst;
pub mod flights;
pub mod frfcfs;
pub mod issue;
pub mod queue;

pub use burst::{Burst, Origin};
pub use flights::Answer;

use super::command::Kind;
use super::config::Config;
use super::map::AddressMap;
use super::refresh::Refresher;
use issue::Device;

/// What became of an offered burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    Taken,
    /// Answered at once, from or into a write that waits; done at this tick.
    Merged(u64),
    /// No room: offer it again after a command.
    Full,
}

/// A controller of one channel. Ticks are shown to it in order; it may be spared those before `next`.
pub trait Schedule: Clone {
    /// Bursts offered before a tick count as accepted this many ticks earlier.
    const LAG: u64;
    /// Whether `encode` is known to tell all states apart whose futures differ, wherever they are taken up again.
    const RESUMES: bool;

    fn new(config: &Config, map: &AddressMap, channel: u32) -> Self;

    fn offer(&mut self, tick: u64, kind: Kind, burst: Burst) -> Offer;

    /// Whether a burst of this kind finds room.
    fn has_room(&self, kind: Kind) -> bool;

    fn tick(&mut self, tick: u64);

    /// The earliest tick after the last at which anything can happen if nothing more is offered.
    fn next(&self) -> u64;

    fn device(&self) -> &Device;

    fn device_mut(&mut self) -> &mut Device;

    /// Appends all that decides which commands go out when to `out`, as seen from `origin`: before it, all that can
    /// be done has been done.
    fn encode(&self, origin: &Origin, out: &mut Vec<u64>);

    /// Moves everything on by `by`.
    fn shift(&mut self, by: &Origin);

    /// From now on refreshes come as this calendar has them.
    fn keep_calendar(&mut self, calendar: Refresher);
}
