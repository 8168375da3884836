//! A DRAM device, command by command.
//!
//! `config` describes it, `map` says where an address lies, `timing` and `banks` when a command may follow another,
//! `controller` which command goes out next, `replay` moves traffic through all of it.

pub mod banks;
pub mod command;
pub mod config;
pub mod controller;
pub mod error;
pub mod map;
pub mod refresh;
pub mod replay;
pub mod statistics;
pub mod timing;
pub mod trace;
pub mod traffic;

pub use command::Command;
pub use config::Config;
pub use error::DramError;
pub use map::{AddressMap, Location};
pub use replay::{Options, Replay};
pub use statistics::Idle;
pub use trace::Issued;
pub use traffic::{Addresses, Each, Traffic};

use config::Scheduler;
use controller::bank_queues::BankQueues;
use controller::frfcfs::Frfcfs;
use replay::Run;

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

    /// Plays traffic through an idle device. `stop` is asked every few milliseconds whether to give up.
    pub fn replay(
        &self,
        traffic: &Traffic<'_>,
        options: &Options,
        stop: &dyn Fn() -> bool,
    ) -> Result<Replay, DramError> {
        let channels = 0..self.config.organisation.all_channels() as u32;
        match self.config.controller.scheduler {
            Scheduler::Frfcfs | Scheduler::FrfcfsRowHit => {
                let controllers = channels.map(|channel| Frfcfs::new(&self.config, &self.map, channel)).collect();
                Run::new(self, traffic, *options, controllers)?.play(stop)
            }
            Scheduler::BankQueues => {
                let controllers = channels.map(|channel| BankQueues::new(&self.config, &self.map, channel)).collect();
                Run::new(self, traffic, *options, controllers)?.play(stop)
            }
        }
    }
}
