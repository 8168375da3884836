//! Which bank is where in a channel.

use super::config::Config;

/// Banks of a channel, at most; a set of banks is a `u64`.
pub const MOST_BANKS: usize = 64;

/// Which bank is where; banks count pseudo channel, rank, bank group, bank, the last fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub banks: usize,
    pub groups: usize,
    pub ranks: usize,
    /// Sets of banks that share activate windows and refresh: ranks, or pseudo channels if ranks are stacked.
    pub units: usize,
    pub pseudo_channels: usize,
    pub place: [Place; MOST_BANKS],
    pub unit_banks: [u64; MOST_BANKS],
    pub pseudo_channel_banks: [u64; MOST_BANKS],
}

/// Of which bank group, rank, unit and pseudo channel a bank is, all counted within the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    group: u8,
    rank: u8,
    unit: u8,
    pseudo_channel: u8,
}

// There are no more of any than banks, which the compiler is told so that it need not check.
impl Place {
    #[inline]
    pub fn group(self) -> usize {
        self.group as usize % MOST_BANKS
    }

    #[inline]
    pub fn rank(self) -> usize {
        self.rank as usize % MOST_BANKS
    }

    #[inline]
    pub fn unit(self) -> usize {
        self.unit as usize % MOST_BANKS
    }

    #[inline]
    pub fn pseudo_channel(self) -> usize {
        self.pseudo_channel as usize % MOST_BANKS
    }
}

impl Layout {
    pub fn new(config: &Config) -> Self {
        let o = &config.organisation;
        let (pcs, ranks, groups, each) =
            (o.pseudo_channels as usize, o.ranks as usize, o.bank_groups as usize, o.banks as usize);
        let banks = (pcs * ranks * groups * each).min(MOST_BANKS);
        let mut layout = Layout {
            banks,
            groups: pcs * ranks * groups,
            ranks: pcs * ranks,
            units: if o.ranks_stacked { pcs } else { pcs * ranks },
            pseudo_channels: pcs,
            place: [Place::default(); MOST_BANKS],
            unit_banks: [0; MOST_BANKS],
            pseudo_channel_banks: [0; MOST_BANKS],
        };
        for bank in 0..banks {
            let group = bank / each;
            let rank = group / groups;
            let pc = rank / ranks;
            let unit = if o.ranks_stacked { pc } else { rank };
            layout.place[bank] =
                Place { group: group as u8, rank: rank as u8, unit: unit as u8, pseudo_channel: pc as u8 };
            layout.unit_banks[unit] |= 1 << bank;
            layout.pseudo_channel_banks[pc] |= 1 << bank;
        }
        layout
    }

    #[inline]
    pub fn of(&self, bank: usize) -> Place {
        self.place[bank % MOST_BANKS]
    }
}
