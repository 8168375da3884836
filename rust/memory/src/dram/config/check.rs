//! Which descriptions hold.

use super::{Config, Refresh, Scheduler};
use crate::dram::error::DramError;
use crate::dram::map::AddressMap;

impl Config {
    /// Says what cannot be: the key, its value and the rule.
    pub fn check(&self) -> Result<(), DramError> {
        self.check_organisation()?;
        self.check_timings()?;
        self.check_controller()?;
        AddressMap::new(self).map(|_| ())
    }

    fn rule(&self, key: &'static str, value: u64, holds: bool, rule: &'static str) -> Result<(), DramError> {
        if holds { Ok(()) } else { Err(DramError::Value { device: self.name.clone(), key, value, rule }) }
    }

    fn check_organisation(&self) -> Result<(), DramError> {
        let o = &self.organisation;
        let counts = [
            ("organisation.stacks", o.stacks, 64),
            ("organisation.channels", o.channels, 4096),
            ("organisation.pseudo_channels", o.pseudo_channels, 4),
            ("organisation.ranks", o.ranks, 16),
            ("organisation.bank_groups", o.bank_groups, 16),
            ("organisation.banks", o.banks, 64),
            ("organisation.rows", o.rows, 1 << 24),
            ("organisation.columns", o.columns, 1 << 20),
            ("organisation.bus_bits", o.bus_bits, 1 << 12),
            ("organisation.burst_length", o.burst_length, 64),
        ];
        for (key, value, most) in counts {
            self.rule(key, value.into(), value >= 1 && value <= most, "at least 1 and no more than any device has")?;
        }
        self.rule("organisation.banks", o.all_banks(), o.all_banks() <= 64, "at most 64 in a channel, all together")?;
        self.rule("organisation.bus_bits", o.bus_bits.into(), o.bus_bits.is_multiple_of(8), "a multiple of 8")?;
        let beats = o.beats_per_clock;
        self.rule("organisation.beats_per_clock", beats.into(), (1..=8).contains(&beats), "between 1 and 8")?;
        let whole = o.burst_length.is_multiple_of(beats);
        self.rule(
            "organisation.burst_length",
            o.burst_length.into(),
            whole,
            "whole CK: a multiple of beats_per_clock",
        )?;
        let whole = o.columns.is_multiple_of(o.burst_length);
        self.rule("organisation.columns", o.columns.into(), whole, "a multiple of the burst length")?;
        let c = &o.commands;
        let ticks = c.ticks_per_clock;
        self.rule("organisation.commands.ticks_per_clock", ticks.into(), ticks == 1 || ticks == 2, "1 or 2")?;
        self.rule(
            "organisation.commands.ticks_per_clock",
            ticks.into(),
            ticks == 1 || c.row_bus,
            "1 without a row bus: half-CK commands are row commands",
        )?;
        for (key, value) in [
            ("organisation.commands.activate_ticks", c.activate_ticks),
            ("organisation.commands.precharge_ticks", c.precharge_ticks),
            ("organisation.commands.column_ticks", c.column_ticks),
            ("organisation.commands.refresh_ticks", c.refresh_ticks),
        ] {
            self.rule(key, value.into(), (1..=8).contains(&value), "between 1 and 8")?;
        }
        Ok(())
    }

    fn check_timings(&self) -> Result<(), DramError> {
        let t = &self.timings;
        let o = &self.organisation;
        let positive = [
            ("timings.tcl", t.tcl),
            ("timings.tcwl", t.tcwl),
            ("timings.trcd_rd", t.trcd_rd),
            ("timings.trcd_wr", t.trcd_wr),
            ("timings.trp", t.trp),
            ("timings.tras", t.tras),
            ("timings.trc", t.trc),
            ("timings.trrd_s", t.trrd_s),
            ("timings.trrd_l", t.trrd_l),
            ("timings.tfaw", t.tfaw),
            ("timings.tccd_s", t.tccd_s),
            ("timings.tccd_l", t.tccd_l),
            ("timings.trtw", t.trtw),
            ("timings.trtp", t.trtp),
        ];
        for (key, value) in positive {
            self.rule(key, value.into(), (1..1 << 20).contains(&value), "at least 1 CK and less than a million")?;
        }
        let small = [
            ("timings.twtr_s", t.twtr_s),
            ("timings.twtr_l", t.twtr_l),
            ("timings.twr", t.twr),
            ("timings.tppd", t.tppd),
            ("timings.tccd_l_wr", t.tccd_l_wr.unwrap_or(0)),
            ("timings.tccd_r", t.tccd_r.unwrap_or(0)),
            ("timings.twtr_r", t.twtr_r.unwrap_or(0)),
            ("timings.trtw_r", t.trtw_r.unwrap_or(0)),
            ("timings.trefi", t.trefi),
            ("timings.trfc", t.trfc),
            ("timings.trefi_pb", t.trefi_pb),
            ("timings.trfc_pb", t.trfc_pb),
            ("timings.trrefd", t.trrefd),
        ];
        for (key, value) in small {
            self.rule(key, value.into(), value < 1 << 20, "less than a million CK")?;
        }
        let burst = o.burst_clocks();
        let ticks = u64::from(o.commands.ticks_per_clock);
        self.rule("timings.tck_fs", t.tck_fs, t.tck_fs > 0 && t.tck_fs < 1 << 40, "positive and under a millisecond")?;
        self.rule("timings.tck_fs", t.tck_fs, t.tck_fs.is_multiple_of(ticks), "a multiple of ticks_per_clock")?;
        self.rule("timings.trc", t.trc.into(), t.trc >= t.tras + t.trp, "at least tras + trp")?;
        self.rule("timings.tras", t.tras.into(), t.tras >= t.trcd_rd, "at least trcd_rd")?;
        self.rule("timings.trrd_l", t.trrd_l.into(), t.trrd_l >= t.trrd_s, "at least trrd_s")?;
        self.rule("timings.tfaw", t.tfaw.into(), t.tfaw >= t.trrd_s, "at least trrd_s")?;
        self.rule("timings.tccd_s", t.tccd_s.into(), t.tccd_s >= burst, "at least the CK of a burst")?;
        self.rule("timings.tccd_l", t.tccd_l.into(), t.tccd_l >= t.tccd_s, "at least tccd_s")?;
        if let Some(value) = t.tccd_l_wr {
            self.rule("timings.tccd_l_wr", value.into(), value >= t.tccd_s, "at least tccd_s")?;
        }
        if let Some(value) = t.tccd_r {
            self.rule("timings.tccd_r", value.into(), value >= burst, "at least the CK of a burst")?;
        }
        self.rule("timings.twtr_l", t.twtr_l.into(), t.twtr_l >= t.twtr_s, "at least twtr_s")?;
        // Data of the read must have left the bus when that of the write comes.
        let clear = (t.tcl + burst).saturating_sub(t.tcwl);
        self.rule("timings.trtw", t.trtw.into(), t.trtw >= clear, "at least tcl + the burst - tcwl")?;
        Ok(())
    }

    fn check_controller(&self) -> Result<(), DramError> {
        let (c, t) = (&self.controller, &self.timings);
        for (key, value) in [("controller.read_queue", c.read_queue), ("controller.write_queue", c.write_queue)] {
            self.rule(key, value.into(), (1..=1024).contains(&value), "between 1 and 1024")?;
        }
        let (high, low) = (c.write_high_percent, c.write_low_percent);
        self.rule("controller.write_high_percent", high.into(), high < 100, "under 100, or writes never drain")?;
        self.rule("controller.write_low_percent", low.into(), low <= high, "at most write_high_percent")?;
        self.rule("controller.bank_queue", c.bank_queue.into(), (1..=256).contains(&c.bank_queue), "1 to 256")?;
        let half = self.organisation.commands.ticks_per_clock == 2 && c.scheduler == Scheduler::BankQueues;
        self.rule("organisation.commands.ticks_per_clock", 2, !half, "1 with the scheduler bank_queues")?;
        self.rule("controller.row_hit_cap", c.row_hit_cap.into(), c.row_hit_cap >= 1, "at least 1")?;
        match c.refresh {
            Refresh::None => {}
            Refresh::AllBank | Refresh::AllBankStaggered => {
                self.rule("timings.trfc", t.trfc.into(), t.trfc >= 1, "at least 1, or refresh = none")?;
                // Between two refreshes each unit of them must close, refresh and get a row cycle of work done.
                let o = &self.organisation;
                let units = o.pseudo_channels * if o.ranks_stacked { 1 } else { o.ranks };
                let least = u64::from(t.trfc) + 2 * u64::from(t.trc) * u64::from(units);
                let rule = "more than trfc and two row cycles of each rank and pseudo channel";
                self.rule("timings.trefi", t.trefi.into(), u64::from(t.trefi) > least, rule)?;
            }
            Refresh::PerBank | Refresh::PerBankPaired => {
                self.rule("timings.trfc_pb", t.trfc_pb.into(), t.trfc_pb >= 1, "at least 1, or refresh = none")?;
                let pairs = if c.refresh == Refresh::PerBank { 1 } else { self.organisation.pseudo_channels };
                let least = u64::from(pairs) * (u64::from(t.trc) + u64::from(t.trrefd));
                let rule = "more than trc + trrefd for each bank refreshed together";
                self.rule("timings.trefi_pb", t.trefi_pb.into(), u64::from(t.trefi_pb) > least, rule)?;
            }
        }
        Ok(())
    }
}
