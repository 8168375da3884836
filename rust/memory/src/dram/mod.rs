//! A DRAM device, command by command.
//!
//! `config` describes it, `map` says where an address lies, `timing` and `banks` when a command may follow another,
//! `controller` which command goes out next, `run` moves traffic through all of it.

mod ahead;
pub mod banks;
pub mod channel;
pub mod command;
pub mod config;
pub mod controller;
pub mod error;
mod fold;
mod gain;
pub mod idle;
mod lane;
pub mod latencies;
pub mod layout;
pub mod map;
mod plain;
mod recall;
pub mod refresh;
pub mod replay;
mod run;
mod skip;
mod staging;
pub mod statistics;
mod stretch;
pub mod timing;
pub mod trace;
pub mod traffic;

pub use channel::{Accept, Channel};
pub use command::Command;
pub use config::Config;
pub use controller::Answer;
pub use error::DramError;
pub use idle::Idle;
pub use map::{AddressMap, Location};
pub use replay::{Options, Replay};
pub use statistics::Usage;
pub use trace::Issued;
pub use traffic::{Addresses, Each, Traffic};

use banks::Banks;
use config::Scheduler;
use controller::Schedule;
use controller::bank_queues::BankQueues;
use controller::frfcfs::Frfcfs;
use run::Run;
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
        match self.config.controller.scheduler {
            Scheduler::Frfcfs | Scheduler::FrfcfsRowHit => self.play::<Frfcfs>(traffic, pattern, options, stop),
            Scheduler::BankQueues => self.play::<BankQueues>(traffic, pattern, options, stop),
        }
    }

    fn play<S: Schedule>(
        &self,
        traffic: &Traffic<'_>,
        pattern: Option<Traffic<'_>>,
        options: &Options,
        stop: &dyn Fn() -> bool,
    ) -> Result<Replay, DramError> {
        let Some(pattern) = pattern else { return Ok(self.run::<S>(traffic, options, false, stop)?.finish()) };
        let alone = options.outstanding.is_none() && options.warmup == 0 && options.measured.is_none();
        let Some((one, shares)) = alone.then(|| fold::fold(self, &pattern)).flatten() else {
            return Ok(self.run::<S>(&pattern, options, true, stop)?.finish());
        };
        let mut runs = Vec::with_capacity(shares.len());
        for share in shares {
            let run = one.run::<S>(&share.traffic, options, true, stop)?;
            runs.push((share, run));
        }
        Ok(fold::unfold(self, runs))
    }

    /// Plays traffic to its end.
    fn run<'a, S: Schedule>(
        &'a self,
        traffic: &Traffic<'a>,
        options: &Options,
        skip: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Run<'a, S>, DramError> {
        let channels = 0..self.config.organisation.all_channels() as u32;
        let controllers = channels.map(|channel| S::new(&self.config, &self.map, channel)).collect();
        let mut run = Run::new(self, traffic, *options, controllers)?;
        let ticks = skip::calendar_ticks(self, &Banks::new(&self.config));
        let skipper = skip.then(|| Skipper::new(self, traffic, ticks)).flatten();
        skip::play(&mut run, skipper, stop)?;
        Ok(run)
    }
}
