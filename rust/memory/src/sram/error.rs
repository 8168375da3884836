//! What a PMU cannot be, cannot serve or cannot hold.

use std::fmt;
use thiserror::Error;

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SramError {
    #[error("{name}: {what} is {value}; it must be {rule}")]
    Description { name: String, what: &'static str, value: u64, rule: String },
    #[error(
        "a skewed layout with rows of {row_bytes} bytes tears lines of {line_bytes} bytes; rows must be a multiple of a \
         line or divide it: pad them to {padded_bytes}"
    )]
    Row { row_bytes: u64, line_bytes: u64, padded_bytes: u64 },
    #[error("element_bytes is 0; a lane must move at least 1 byte")]
    ElementOfNone,
    #[error("an access of {lanes} lanes; it must have between 1 and {most}")]
    Lanes { lanes: u64, most: u64 },
    #[error(
        "lane {lane} touches {element_bytes} bytes at address {address_bytes}, outside the SRAM of {capacity_bytes} \
         bytes; a smaller base, stride or number of lanes keeps it inside"
    )]
    Outside { lane: u64, address_bytes: i128, element_bytes: u64, capacity_bytes: u64 },
    #[error("{what} is {value}; it must be between 1 and {most}")]
    Count { what: &'static str, value: u64, most: u64 },
    #[error(
        "elements of {element_bytes} bytes do not fit words of {bank_bytes}: one must be a multiple of the other for \
         columns to be read"
    )]
    Straddles { element_bytes: u64, bank_bytes: u64 },
    #[error("pitch_bytes is {pitch_bytes}; rows of this matrix take {least_bytes} bytes, so it must be at least that")]
    Pitch { pitch_bytes: u64, least_bytes: u64 },
}

#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum AllocationError {
    #[error("buffer {name:?}: {what} is {value}; it must be {rule}")]
    Buffer { name: String, what: &'static str, value: u64, rule: String },
    #[error("two buffers are called {name:?}; give each a name of its own")]
    Twice { name: String },
    #[error("{what} is {value}; it must be {rule}")]
    Space { what: &'static str, value: u64, rule: &'static str },
    #[error("{0}")]
    Full(Box<Full>),
    #[error("interrupted")]
    Interrupted,
}

/// The buffer that found no place, and who was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    pub buffer: String,
    pub needed_bytes: u64,
    pub first_use: u64,
    pub last_use: u64,
    /// The step of its life at which least is free, and what is free then in all PMUs.
    pub step: u64,
    pub free_bytes: u64,
    /// The largest room that is free for its whole life in one piece.
    pub gap_bytes: u64,
    /// Who holds the rest at that step: name and bytes, most bytes first.
    pub holders: Vec<(String, u64)>,
    pub capacity_bytes: u64,
    pub pmus: u64,
    /// Bytes alive at the fullest step, with this buffer: no allocator needs less.
    pub live_bytes: u64,
    pub live_step: u64,
    pub remedies: Remedies,
}

/// What would fit; each was tried and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remedies {
    /// PMUs of so many bytes, the number of them as it is.
    pub capacity_bytes: Option<u64>,
    /// So many PMUs of the size there is.
    pub pmus: Option<u64>,
    /// Buffers may be split over PMUs.
    pub split: bool,
    /// The buffer that found no place, with at most so many bytes.
    pub shrink_bytes: Option<u64>,
    /// A buffer whose last use comes earlier: its name, and that last use.
    pub shorten: Option<(String, u64)>,
}

/// Holders that a message lists.
const LISTED: usize = 4;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pmus = |count: u64| if count == 1 { "1 PMU".to_owned() } else { format!("{count} PMUs") };
        write!(
            f,
            "buffer {:?} of {} bytes (steps {} to {}) does not fit into {} of {} bytes: at step {} {} bytes are free \
             ({} in one piece for its whole life)",
            self.buffer,
            self.needed_bytes,
            self.first_use,
            self.last_use,
            pmus(self.pmus),
            self.capacity_bytes,
            self.step,
            self.free_bytes,
            self.gap_bytes
        )?;
        for (at, (name, bytes)) in self.holders.iter().take(LISTED).enumerate() {
            write!(f, "{} {name:?} ({bytes})", if at == 0 { "; held by" } else { "," })?;
        }
        if self.holders.len() > LISTED {
            let rest: u64 = self.holders[LISTED..].iter().map(|(_, bytes)| bytes).sum();
            write!(f, " and {} more ({rest})", self.holders.len() - LISTED)?;
        }
        write!(f, ". At step {} {} bytes are alive together", self.live_step, self.live_bytes)?;
        if u128::from(self.live_bytes) <= u128::from(self.capacity_bytes) * u128::from(self.pmus) {
            write!(f, ": less than there is, but no placement was found in time that leaves no room unused")?;
        }
        let remedies = &self.remedies;
        let fits = [
            remedies.capacity_bytes.map(|bytes| format!("PMUs of {bytes} bytes")),
            remedies.pmus.map(pmus),
            remedies.split.then(|| "buffers split over PMUs".to_owned()),
            remedies.shrink_bytes.map(|bytes| format!("{:?} with at most {bytes} bytes", self.buffer)),
            remedies.shorten.as_ref().map(|(name, last)| format!("{name:?} last used at step {last}")),
        ];
        let fits: Vec<String> = fits.into_iter().flatten().collect();
        if fits.is_empty() { Ok(()) } else { write!(f, ". What would fit: {}", fits.join("; or ")) }
    }
}
