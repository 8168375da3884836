//! The distances of a data sheet as least ticks from the start of one command to the start of the next.

use super::config::Config;

/// Least ticks between command starts. A command of several ticks counts from its last one, hence the corrections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub act_act_bank: u64,
    pub act_act_s: u64,
    pub act_act_l: u64,
    pub act_window: u64,
    /// By kind of the column command.
    pub act_column: [u64; 2],
    pub act_pre: u64,
    pub act_ref: u64,
    pub act_refpb: u64,
    pub pre_act: u64,
    pub pre_pre: u64,
    pub pre_ref: u64,
    pub column_pre: [u64; 2],
    /// Column to column, `[first][second]`: within a bank group, a rank, a pseudo channel.
    pub column_l: [[u64; 2]; 2],
    pub column_s: [[u64; 2]; 2],
    pub column_r: [[u64; 2]; 2],
    pub ref_act: u64,
    pub ref_pre: u64,
    pub refpb_act: u64,
    pub refpb_act_other: u64,
    pub refpb_refpb: u64,
    /// Ticks on the command bus.
    pub act_ticks: u64,
    pub pre_ticks: u64,
    pub column_ticks: u64,
    pub ref_ticks: u64,
    /// From the start of the column command to the first beat.
    pub data_start: [u64; 2],
    pub burst_ticks: u64,
    pub interval: u64,
    pub interval_pb: u64,
}

impl Rules {
    pub fn new(config: &Config) -> Self {
        let (t, o) = (&config.timings, &config.organisation);
        let c = &o.commands;
        let scale = u64::from(c.ticks_per_clock);
        let (act, pre, col, refresh) = (c.activate_ticks, c.precharge_ticks, c.column_ticks, c.refresh_ticks);
        let apart = |clocks: u32, first: u32, second: u32| {
            (u64::from(clocks) * scale + u64::from(first)).saturating_sub(u64::from(second))
        };
        let same = |clocks: u32| u64::from(clocks) * scale;
        let burst = o.burst_clocks();
        let read_write = t.trtw;
        let write_read = |clocks: u32| t.tcwl + burst + clocks;
        let column = |rr: u32, rw: u32, wr: u32, ww: u32| [[same(rr), same(rw)], [same(wr), same(ww)]];
        Rules {
            act_act_bank: same(t.trc),
            act_act_s: same(t.trrd_s),
            act_act_l: same(t.trrd_l),
            act_window: same(t.tfaw),
            act_column: [apart(t.trcd_rd, act, col), apart(t.trcd_wr, act, col)],
            act_pre: apart(t.tras, act, pre),
            act_ref: apart(t.trc, act, refresh),
            act_refpb: apart(t.trrd_s, act, refresh),
            pre_act: apart(t.trp, pre, act),
            pre_pre: same(t.tppd),
            pre_ref: apart(t.trp, pre, refresh),
            column_pre: [apart(t.trtp, col, pre), apart(t.tcwl + burst + t.twr, col, pre)],
            column_l: column(t.tccd_l, read_write, write_read(t.twtr_l), t.tccd_l_wr.unwrap_or(t.tccd_l)),
            column_s: column(t.tccd_s, read_write, write_read(t.twtr_s), t.tccd_s),
            column_r: column(
                t.tccd_r.unwrap_or(burst),
                t.trtw_r.unwrap_or(read_write),
                t.twtr_r.unwrap_or(write_read(t.twtr_s)),
                burst,
            ),
            ref_act: apart(t.trfc, refresh, act),
            ref_pre: apart(t.trfc, refresh, pre),
            refpb_act: apart(t.trfc_pb, refresh, act),
            refpb_act_other: apart(t.trrefd, refresh, act),
            refpb_refpb: same(t.trrefd),
            act_ticks: act.into(),
            pre_ticks: pre.into(),
            column_ticks: col.into(),
            ref_ticks: refresh.into(),
            data_start: [same(t.tcl), same(t.tcwl)],
            burst_ticks: same(burst),
            interval: same(t.trefi),
            interval_pb: same(t.trefi_pb),
        }
    }

    /// How long a request may wait behind younger ones that hit its bank's open row: refreshes close rows more often.
    pub fn patience(&self) -> u64 {
        8 * self.interval
    }

    /// No data begin so long after their command.
    pub fn longest_way(&self) -> u64 {
        self.data_start.into_iter().max().unwrap_or(0) + 1
    }

    /// From the start of the column command to after the last beat.
    pub fn data_end(&self, kind: super::command::Kind) -> u64 {
        self.data_start[kind as usize] + self.burst_ticks
    }
}
