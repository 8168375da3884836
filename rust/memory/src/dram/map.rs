//! Where an address lies: every bit of bank, row and column is the exclusive-or of address bits.

use super::config::{Config, Map};
use super::error::DramError;

/// Where a burst lies. `bank` counts all banks of the channel: pseudo channel, rank, bank group, bank, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location {
    pub channel: u32,
    pub bank: u32,
    pub row: u32,
    /// In bursts.
    pub column: u32,
}

/// A run of address bits that lands in an output together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: u32,
    mask: u64,
    to: u32,
}

/// Gathers `runs` of `address`.
fn gather(runs: &[Run], address: u64) -> u64 {
    runs.iter().fold(0, |value, run| value ^ (((address >> run.from) & run.mask) << run.to))
}

/// How granules go round the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interleave {
    granule_shift: u32,
    hashed: bool,
}

/// The map of a device, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressMap {
    burst_shift: u32,
    channels: u64,
    /// Bits of the channel count if it is a power of two.
    channel_bits: Option<u32>,
    interleave: Option<Interleave>,
    channel: Vec<Run>,
    bank: Vec<Run>,
    row: Vec<Run>,
    column: Vec<Run>,
    /// Banks by 11 address bits at a time, their exclusive-or being the bank: one look instead of many shifts.
    bank_tables: Box<[[u8; TABLE]; 3]>,
    /// Whether the tables reach all address bits that the bank depends on.
    tabled: bool,
    first_row: Run,
}

const TABLE: usize = 1 << 11;

const NAMES: [&str; 7] = ["column", "pseudo_channel", "bank_group", "bank", "rank", "row", "channel"];
const KEYS: [&str; 7] = [
    "organisation.columns",
    "organisation.pseudo_channels",
    "organisation.bank_groups",
    "organisation.banks",
    "organisation.ranks",
    "organisation.rows",
    "organisation.channels",
];
const ROW: usize = 5;
const CHANNEL: usize = 6;

fn bits(size: u64) -> u32 {
    size.max(1).next_power_of_two().trailing_zeros()
}

/// A field of the list: index into `NAMES`, bits, and where they begin in the address and in the field.
#[derive(Clone, Copy)]
struct Part {
    field: usize,
    bits: u32,
    from: u32,
    to: u32,
}

impl AddressMap {
    pub fn new(config: &Config) -> Result<Self, DramError> {
        let (o, map, device) = (&config.organisation, &config.map, &config.name);
        let power = |key, value: u64| {
            let error = DramError::PowerOfTwo { device: device.clone(), key, value };
            if value.is_power_of_two() { Ok(()) } else { Err(error) }
        };
        power("organisation.bus_bits", o.bus_bits.into())?;
        power("organisation.burst_length", o.burst_length.into())?;
        let interleave = match map.interleave_bytes {
            None => None,
            Some(granule) => {
                power("map.interleave_bytes", granule)?;
                if granule < o.burst_bytes() {
                    let (key, rule) = ("map.interleave_bytes", "at least a burst");
                    return Err(DramError::Value { device: device.clone(), key, value: granule, rule });
                }
                Some(Interleave { granule_shift: granule.trailing_zeros(), hashed: map.hashed })
            }
        };
        let channels = o.all_channels();
        let sizes = [
            u64::from(o.bursts()),
            o.pseudo_channels.into(),
            o.bank_groups.into(),
            o.banks.into(),
            o.ranks.into(),
            o.rows.into(),
            if interleave.is_some() { 1 } else { channels },
        ];
        let parts = Self::parts(config, &sizes)?;
        Self::check_powers(config, &sizes, &parts)?;
        let runs = |fields: &[usize]| -> Result<Vec<Run>, DramError> {
            let mut out = Vec::new();
            let mut base = 0;
            for &field in fields {
                for part in parts.iter().filter(|part| part.field == field) {
                    out.push(Run { from: part.from, mask: (1 << part.bits) - 1, to: base + part.to });
                }
                out.extend(Self::xor_runs(config, field, base, bits(sizes[field]), &parts)?);
                base += bits(sizes[field]);
            }
            out.retain(|run| run.mask != 0);
            Ok(Self::merged(out))
        };
        // Least significant first.
        let (bank, row) = (runs(&[3, 2, 4, 1])?, runs(&[ROW])?);
        let reach = |run: &Run| run.from + run.mask.count_ones() <= 33;
        let mut bank_tables = Box::new([[0; TABLE]; 3]);
        for (at, table) in bank_tables.iter_mut().enumerate() {
            for (bits, entry) in table.iter_mut().enumerate() {
                *entry = gather(&bank, (bits as u64) << (11 * at)) as u8;
            }
        }
        Ok(AddressMap {
            tabled: bank.iter().all(reach) && o.all_banks() <= 256,
            bank_tables,
            first_row: row.first().copied().unwrap_or(Run { from: 0, mask: 0, to: 0 }),
            burst_shift: o.burst_bytes().trailing_zeros(),
            channels,
            channel_bits: channels.is_power_of_two().then(|| channels.trailing_zeros()),
            interleave,
            channel: runs(&[CHANNEL])?,
            bank,
            row,
            column: runs(&[0])?,
        })
    }

    /// The fields of the list with their places, all bits placed once.
    fn parts(config: &Config, sizes: &[u64; 7]) -> Result<Vec<Part>, DramError> {
        let wrong = |field: &str, rule| DramError::Field { device: config.name.clone(), field: field.to_owned(), rule };
        let mut placed = [0; 7];
        let mut parts = Vec::new();
        let mut from = 0;
        for text in &config.map.fields {
            let (name, count) = match text.split_once(':') {
                None => (text.as_str(), None),
                Some((name, count)) => {
                    let count = count.parse::<u32>().map_err(|_| wrong(text, "after the colon stands a number"))?;
                    (name, Some(count))
                }
            };
            let rule = "known are column, pseudo_channel, bank_group, bank, rank, row and channel";
            let field = NAMES.iter().position(|&known| known == name).ok_or_else(|| wrong(text, rule))?;
            let left = bits(sizes[field]).saturating_sub(placed[field]);
            let count = count.unwrap_or(left);
            if count > left {
                return Err(Self::miscount(config, field, placed[field] + count, sizes));
            }
            parts.push(Part { field, bits: count, from, to: placed[field] });
            placed[field] += count;
            from += count;
        }
        for field in 0..NAMES.len() {
            if placed[field] != bits(sizes[field]) {
                return Err(Self::miscount(config, field, placed[field], sizes));
            }
        }
        Ok(parts)
    }

    fn miscount(config: &Config, field: usize, placed: u32, sizes: &[u64; 7]) -> DramError {
        let (size, bits) = (sizes[field], bits(sizes[field]));
        DramError::Bits { device: config.name.clone(), field: NAMES[field], placed, size, bits }
    }

    /// Only the topmost field may have a size that is not a power of two.
    fn check_powers(config: &Config, sizes: &[u64; 7], parts: &[Part]) -> Result<(), DramError> {
        let top = parts.iter().rev().find(|part| part.bits > 0);
        for field in 0..NAMES.len() {
            let whole = top.is_some_and(|part| part.field == field && part.to == 0);
            let xored = config.map.xor.iter().any(|xor| xor.field == NAMES[field]);
            if !sizes[field].is_power_of_two() && (!whole || xored) {
                let (key, value) = (KEYS[field], sizes[field]);
                return Err(DramError::PowerOfTwo { device: config.name.clone(), key, value });
            }
        }
        Ok(())
    }

    /// What `map.xor` adds to `field`, whose lowest bit lands at `base`.
    fn xor_runs(config: &Config, field: usize, base: u32, width: u32, parts: &[Part]) -> Result<Vec<Run>, DramError> {
        let Map { xor, .. } = &config.map;
        let wrong = |field: &str, rule| DramError::Field { device: config.name.clone(), field: field.to_owned(), rule };
        let mut out = Vec::new();
        for term in xor {
            let known = |name: &str| {
                let rule = "map.xor names a field that does not exist";
                NAMES.iter().position(|&known| known == name).ok_or_else(|| wrong(name, rule))
            };
            let (target, source) = (known(&term.field)?, known(&term.with)?);
            if xor.iter().any(|other| other.field == term.with) {
                return Err(wrong(&term.with, "a field that map.xor changes cannot change another"));
            }
            if target != field {
                continue;
            }
            for part in parts.iter().filter(|part| part.field == source) {
                // Source bits `from ..` line up with target bits `0 .. width`.
                let low = part.to.max(term.from);
                let high = (part.to + part.bits).min(term.from.saturating_add(width));
                if low < high {
                    let mask = (1 << (high - low)) - 1;
                    out.push(Run { from: part.from + low - part.to, mask, to: base + low - term.from });
                }
            }
        }
        Ok(out)
    }

    /// Joins runs that continue each other.
    fn merged(runs: Vec<Run>) -> Vec<Run> {
        let mut out: Vec<Run> = Vec::new();
        for run in runs {
            if let Some(last) = out.last_mut() {
                let width = last.mask.count_ones();
                if last.from + width == run.from && last.to + width == run.to {
                    last.mask |= run.mask << width;
                    continue;
                }
            }
            out.push(run);
        }
        out
    }

    /// The channel of `address`, and the address within the channel counted in bursts.
    #[inline]
    pub fn channel(&self, address: u64) -> (u32, u64) {
        if self.channels == 1 {
            return (0, address >> self.burst_shift);
        }
        self.channel_of_many(address)
    }

    fn channel_of_many(&self, address: u64) -> (u32, u64) {
        match self.interleave {
            None => {
                let burst = address >> self.burst_shift;
                (gather(&self.channel, burst) as u32, burst)
            }
            Some(Interleave { granule_shift, hashed }) => {
                let granule = address >> granule_shift;
                let (round, turn) = match self.channel_bits {
                    Some(bits) => (granule >> bits, granule & (self.channels - 1)),
                    None => (granule / self.channels, granule % self.channels),
                };
                // The multiplier is 2^64 divided by the golden ratio: neighbouring rounds land far apart.
                let hash = if hashed { round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 } else { 0 };
                let channel = match (hashed, self.channel_bits) {
                    (false, _) => turn,
                    (true, Some(_)) => (turn + hash) & (self.channels - 1),
                    (true, None) => (turn + hash) % self.channels,
                };
                let local = (round << granule_shift) | (address & ((1 << granule_shift) - 1));
                (channel as u32, local >> self.burst_shift)
            }
        }
    }

    /// Bank and row of a burst within its channel.
    #[inline]
    pub fn bank_row(&self, burst: u64) -> (u32, u32) {
        let bank = if self.tabled {
            let [low, middle, high] = &*self.bank_tables;
            let look = |table: &[u8; TABLE], shift: u32| u32::from(table[(burst >> shift) as usize % TABLE]);
            look(low, 0) ^ look(middle, 11) ^ look(high, 22)
        } else {
            gather(&self.bank, burst) as u32
        };
        let mut row = (((burst >> self.first_row.from) & self.first_row.mask) << self.first_row.to) as u32;
        if self.row.len() > 1 {
            row = gather(&self.row, burst) as u32;
        }
        (bank, row)
    }

    /// Column of a burst within its channel, in bursts.
    pub fn column(&self, burst: u64) -> u32 {
        gather(&self.column, burst) as u32
    }

    pub fn locate(&self, address: u64) -> Location {
        let (channel, burst) = self.channel(address);
        let (bank, row) = self.bank_row(burst);
        Location { channel, bank, row, column: self.column(burst) }
    }

    /// Bytes that lie in one channel before the next one's turn, if channels take simple turns.
    pub fn chunk_bytes(&self) -> Option<u64> {
        match (self.interleave, self.channel.as_slice()) {
            (Some(interleave), _) => Some(1 << interleave.granule_shift),
            (None, [run]) if run.to == 0 => Some(1 << (run.from + self.burst_shift)),
            (None, _) => None,
        }
    }

    /// The least distance in bursts of a channel that moves an address up a number of rows and changes nothing else,
    /// and that number; `None` if there is none.
    pub fn row_span(&self) -> Option<(u64, u32)> {
        if self.interleave.is_some_and(|interleave| interleave.hashed) { None } else { self.channel_span() }
    }

    /// The same within a channel, whose own addresses no hash turns.
    pub fn channel_span(&self) -> Option<(u64, u32)> {
        let (first, rest) = self.row.split_first()?;
        let top = |run: &Run| run.from + run.mask.count_ones();
        let others = self.bank.iter().chain(&self.column).chain(&self.channel).chain(rest);
        // Above all bits that mean something else, and above all row bits that others change too.
        let mixed = rest.iter().map(|run| run.to + run.mask.count_ones()).max().unwrap_or(0);
        let low = others.map(top).max().unwrap_or(0).max(first.from + mixed.saturating_sub(first.to)).max(first.from);
        (low < top(first)).then(|| (1 << low, 1 << (low - first.from + first.to)))
    }

    /// How far apart in the device, in the same measure, are addresses that are 1 apart in a channel.
    pub fn span_scale(&self) -> u64 {
        if self.interleave.is_some() { self.channels } else { 1 }
    }
}
