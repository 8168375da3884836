//! Channels that see the same stream stand for each other.

use super::Dram;
use super::controller::Schedule;
use super::replay::Replay;
use super::run::{Run, STAGED};
use super::traffic::{Addresses, Each, Traffic};

/// What each of some channels gets of a stream.
pub(super) struct Share {
    pub channels: Vec<usize>,
    pub traffic: Traffic<'static>,
}

/// A channel that stands for all, and the shares of the stream: that of most channels, and those of channels that get a
/// turn less or a part of one at the end. `None` where channels do not take turns that are the same for each.
///
/// While all move the same, none runs dry before its share is at its end: what is staged holds a whole round more.
pub(super) fn fold(dram: &Dram, traffic: &Traffic<'_>) -> Option<(Dram, Vec<Share>)> {
    let (Addresses::Pattern { start, stride, count }, Each::All(bytes), Each::All(write)) =
        (traffic.addresses, traffic.bytes, traffic.writes)
    else {
        return None;
    };
    let config = dram.config();
    let (burst, channels) = (config.organisation.burst_bytes(), config.organisation.all_channels());
    let chunk = dram.map().chunk_bytes()?;
    let round = chunk.checked_mul(channels)?;
    let even = stride == burst && bytes == burst && start.is_multiple_of(round);
    // With shorter turns no channel's queue runs dry while another's is filled.
    let short = chunk / burst <= STAGED as u64 - 4;
    let end = start.checked_add(count.checked_mul(burst)?)?;
    if !even || !short || channels == 1 || end > dram.capacity_bytes() {
        return None;
    }
    let mut one = config.clone();
    one.organisation.stacks = 1;
    one.organisation.channels = 1;
    one.map.interleave_bytes = None;
    one.map.fields.retain(|field| !field.starts_with("channel"));
    let last_round = end / round * round;
    let mut counts = vec![(last_round - start) / channels / burst; channels as usize];
    for turn in (last_round..end).step_by(chunk as usize) {
        if let Some(count) = counts.get_mut(dram.map().channel(turn).0 as usize) {
            *count += (end - turn).min(chunk) / burst;
        }
    }
    let mut shares: Vec<Share> = Vec::new();
    for (channel, count) in counts.into_iter().enumerate() {
        let addresses = Addresses::Pattern { start: start / channels, stride, count };
        match shares.iter_mut().find(|share| share.traffic.requests() == count) {
            Some(share) => share.channels.push(channel),
            None => {
                let traffic =
                    Traffic { addresses, bytes: Each::All(bytes), writes: Each::All(write), arrivals_ps: None };
                shares.push(Share { channels: vec![channel], traffic });
            }
        }
    }
    Some((Dram::new(one).ok()?, shares))
}

/// What all channels did, from what one did for each share.
pub(super) fn unfold<S: Schedule>(dram: &Dram, mut runs: Vec<(Share, Run<'_, S>)>) -> Replay {
    // All go on until the last burst of all has been sent, and count until its end.
    let last = runs.iter().map(|(_, run)| run.tick).max().unwrap_or(0);
    runs.iter_mut().for_each(|(_, run)| run.linger(last));
    let end = runs.iter().map(|(_, run)| run.end()).max().unwrap_or(0);
    let channels = dram.config().organisation.all_channels() as usize;
    let mut all = Replay { tick_fs: dram.config().tick_fs(), elapsed_ticks: end, ..Replay::default() };
    all.idle.resize(channels, Default::default());
    for (share, run) in runs {
        let (one, times) = (run.finish_at(end), share.channels.len() as u64);
        all.latencies.repeat_of(&one.latencies, times);
        all.commands.iter_mut().zip(one.commands).for_each(|(sum, count)| *sum += count * times);
        all.read_bursts += one.read_bursts * times;
        all.written_bursts += one.written_bursts * times;
        all.read_bytes += one.read_bytes * times;
        all.written_bytes += one.written_bytes * times;
        all.row_hits += one.row_hits * times;
        all.busy_ticks += one.busy_ticks * times;
        // What others of the share did is known from this one.
        all.skipped_bursts += one.bursts() * (times - 1) + one.skipped_bursts;
        for channel in share.channels {
            if let Some(idle) = all.idle.get_mut(channel) {
                *idle = one.idle.iter().fold(*idle, |sum, &idle| sum.plus(idle));
            }
        }
    }
    all.part_imbalance();
    all.peak_fraction = all.fraction(dram.config());
    all
}
