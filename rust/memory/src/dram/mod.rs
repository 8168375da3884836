//! A DRAM device, command by command.
//!
//! `config` describes it, `map` says where an address lies, `timing` and `banks` when a command may follow another,
//! `controller` which command goes out next, `replay` moves traffic through all of it.

mod ahead;
pub mod banks;
pub mod channel;
pub mod command;
pub mod config;
pub mod controller;
pub mod error;
pub mod layout;
pub mod map;
mod recall;
pub mod refresh;
pub mod replay;
mod skip;
pub mod statistics;
pub mod timing;
pub mod trace;
pub mod traffic;

pub use channel::{Accept, Channel};
pub use command::Command;
pub use config::Config;
pub use controller::Answer;
pub use error::DramError;
pub use map::{AddressMap, Location};
pub use replay::{Options, Replay};
pub use statistics::{Idle, Usage};
pub use trace::Issued;
pub use traffic::{Addresses, Each, Traffic};

use banks::Banks;
use config::Scheduler;
use controller::bank_queues::BankQueues;
use controller::frfcfs::Frfcfs;
use replay::Run;
use skip::Skipper;

/// A device that can be asked: a configuration that holds, and its address map.
#[derive(Clone, Debug)]
pub struct Dram {
    config: Config,
    map: AddressMap,
}

impl Dram {
    pub fn new(config: Config) -> Result<Self, DramError> {
        config.check()?;
        let map = AddressMap::new(&config)?;
        Ok(Dram { config, map })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn map(&self) -> &AddressMap {
        &self.map
    }

    pub fn capacity_bytes(&self) -> u64 {
        self.config.organisation.capacity_bytes()
    }

    /// Plays traffic through an idle device. With `options.skip`, evenly spaced requests may be jumped over by whole
    /// periods; the outcome is the same. `stop` is asked every few milliseconds whether to give up.
    pub fn replay(
        &self,
        traffic: &Traffic<'_>,
        options: &Options,
        stop: &dyn Fn() -> bool,
    ) -> Result<Replay, DramError> {
        let pattern = if skip::may_skip(options) { skip::as_pattern(self, traffic) } else { None };
        let Some(pattern) = pattern else { return self.play(traffic, options, false, stop) };
        let alone = options.outstanding.is_none() && options.warmup == 0 && options.measured.is_none();
        match alone.then(|| skip::fold(self, &pattern)).flatten() {
            Some((one, share)) => Ok(skip::unfold(self, one.play(&share, options, true, stop)?)),
            None => self.play(&pattern, options, true, stop),
        }
    }

    fn play(
        &self,
        traffic: &Traffic<'_>,
        options: &Options,
        skip: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Replay, DramError> {
        let (config, map) = (&self.config, &self.map);
        let channels = 0..config.organisation.all_channels() as u32;
        let ticks = skip::calendar_ticks(self, &Banks::new(config));
        let skipper = skip.then(|| Skipper::new(self, traffic, ticks)).flatten();
        match config.controller.scheduler {
            Scheduler::Frfcfs | Scheduler::FrfcfsRowHit => {
                let controllers = channels.map(|channel| Frfcfs::new(config, map, channel)).collect();
                skip::play(Run::new(self, traffic, *options, controllers)?, skipper, stop)
            }
            Scheduler::BankQueues => {
                let controllers = channels.map(|channel| BankQueues::new(config, map, channel)).collect();
                skip::play(Run::new(self, traffic, *options, controllers)?, skipper, stop)
            }
        }
    }
}
