//! What a channel did in a stream of reads, kept so that it need not be worked out again.
//!
//! While more reads of one even stream wait in front of a controller than it takes on the way, nothing that arrives can
//! change what it does: its own state decides, without the writes that wait until the reads are through. Such a stretch
//! is a *course*. States are compared as seen from where and when the course begins; the same state has the same course,
//! which is then walked at once: answers, counts and the state at its end are those of the first time, moved to now. What
//! cannot wait for the end of a course, a write above all, makes the channel go back to its beginning and work out the
//! part that has passed.

use super::controller::frfcfs::Frfcfs;
use super::controller::issue::Device;
use super::controller::{Origin, Schedule};
use super::skip::hash;
use super::statistics::Statistics;
use std::collections::HashMap;
use std::sync::Arc;

/// Bursts taken in a course, at most and at least; between them, the power of two that moves in an eighth of the time
/// between two refreshes.
const LONGEST: u64 = 512;
const SHORTEST: u64 = 64;
/// Courses begin at multiples of their length, so that few are different; or as many bursts later, since a controller may
/// take some at once.
const LATE: u64 = 8;
/// Courses kept at most; then all are forgotten.
const KEPT: usize = 1024;

/// Where the front of the line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of the flight whose burst comes next.
    pub number: u64,
    /// Of that burst, within the channel.
    pub address: u64,
    /// Bursts that it still has in the line, and that each flight behind it has.
    pub left: u64,
    pub each: u64,
}

/// A flight at the end of a course: its number, bursts still to come, and the tick of its latest burst, if one is done.
pub type Left = (u64, u64, Option<u64>);

/// A stretch that was worked out once. Numbers and ticks count from where it began.
#[derive(Clone, Debug)]
pub struct Course {
    key: Vec<u64>,
    begin: Origin,
    pub ticks: u64,
    /// Bursts taken from the line.
    pub taken: u64,
    /// Flights that set out of the line in the course, wholly.
    pub flights: u64,
    /// The state at the end; its books have what was counted on the way.
    end: Frfcfs,
    /// No refresh was near.
    calm: bool,
    pub left: Vec<Left>,
    /// Number and tick of each flight that was done, in order of time.
    pub answers: Vec<(u64, u64)>,
}

/// A course under way.
#[derive(Clone, Debug)]
pub struct Walk {
    pub course: Arc<Course>,
    pub begin: Origin,
    /// Answers handed out.
    pub told: usize,
}

impl Walk {
    pub fn end_tick(&self) -> u64 {
        self.begin.tick + self.course.ticks
    }

    /// The next answer: number and tick.
    pub fn next_answer(&self) -> Option<(u64, u64)> {
        let &(number, tick) = self.course.answers.get(self.told)?;
        Some((self.begin.id.wrapping_add(number), self.begin.tick + tick))
    }

    /// The controller at the end, from what it was at the beginning.
    pub fn arrive(&self, from: &mut Frfcfs) {
        let (course, begin) = (&self.course, &self.begin);
        let by = Origin {
            tick: begin.tick - course.begin.tick,
            row: begin.row.wrapping_sub(course.begin.row),
            address: begin.address.wrapping_sub(course.begin.address),
            id: begin.id - course.begin.id,
        };
        let mut end = course.end.clone();
        end.shift(&by);
        let mut statistics = std::mem::take(&mut from.device_mut().statistics);
        statistics.append(&course.end.device().statistics, by.tick);
        end.device_mut().statistics = statistics;
        end.device_mut().flights = from.device_mut().flights.take();
        if course.calm {
            end.adopt_calendar(from);
        }
        end.adopt_writes(from);
        *from = end;
    }
}

/// A course being worked out for the first time.
#[derive(Clone, Debug)]
struct Record {
    key: Vec<u64>,
    begin: Origin,
    taken: u64,
    before: Statistics,
    calm: bool,
    /// How often reads and writes had taken turns.
    turned: u64,
}

/// The courses of a channel.
#[derive(Clone, Debug)]
pub struct Recall {
    courses: HashMap<u64, Vec<Arc<Course>>>,
    kept: usize,
    record: Option<Record>,
    pub walk: Option<Walk>,
    /// Bursts taken from the line at which it is worth a look, and those taken on courses so far.
    pub look_at: u64,
    pub taken: u64,
    /// Bursts taken in a course, and bursts that must wait in the line for one.
    length: u64,
    pub needs: u64,
    /// A refresh that is as far away has no part in a course that takes less.
    reach: u64,
    /// Bursts after which addresses lie the same, as many rows up.
    span: (u64, u32),
    /// Where the calendar's next refresh stands in a controller's state, and what that state's margin of time is.
    calendar_at: usize,
    margin: u64,
}

impl Recall {
    /// `None` for an address map that never lies the same. `queue`: reads that the controller holds.
    pub fn new(span: Option<(u64, u32)>, controller: &Frfcfs, queue: u64) -> Option<Self> {
        let Device { banks, refresher, .. } = controller.device();
        let (rules, buses) = (&banks.rules, banks.layout.pseudo_channels as u64);
        let mut state = Vec::new();
        banks.encode(0, 0, &mut state);
        let interval = refresher.interval();
        let length = (interval / 8).saturating_mul(buses) / rules.burst_ticks.max(1);
        let length = 1 << length.clamp(SHORTEST, LONGEST).ilog2();
        Some(Recall {
            length,
            // It may end a little late: when the queue has been filled.
            needs: length + queue + 1,
            reach: interval / 4,
            courses: HashMap::new(),
            kept: 0,
            record: None,
            walk: None,
            look_at: length,
            taken: 0,
            span: span?,
            calendar_at: state.len(),
            margin: rules.data_start.into_iter().max().unwrap_or(0) + 1,
        })
    }

    /// Whether a course is under way or being worked out.
    pub fn is_engaged(&self) -> bool {
        self.walk.is_some() || self.record.is_some()
    }

    /// Gives up what is being worked out.
    pub fn drop_record(&mut self, controller: &mut Frfcfs) {
        self.record = None;
        if let Some(flights) = &mut controller.device_mut().flights {
            flights.log = None;
        }
    }

    /// Looks again after a while.
    pub fn wait(&mut self, taken: u64) {
        self.look_at = taken + self.length;
    }

    /// At `tick`, before which all was handled, `taken` bursts have left the line: ends what is being worked out, and
    /// begins a course where the line holds enough for one: one that is known, or one to be known.
    pub fn look(&mut self, controller: &mut Frfcfs, tick: u64, taken: u64, line: Option<Line>) {
        if let Some(record) = self.record.take()
            && let Some(line) = line
        {
            self.keep(record, controller, tick, taken, line);
        }
        self.drop_record(controller);
        self.wait(taken);
        let Some(line) = line.filter(|line| line.each > 0) else { return };
        let late = line.address % self.length;
        self.look_at -= late;
        let reads = line.address..line.address + self.needs;
        if late > LATE || !controller.parks_writes() || controller.awaits_write(&reads) {
            return;
        }
        let spans = line.address / self.span.0;
        let row = (spans as u32).wrapping_mul(self.span.1);
        let begin = Origin { tick, row, address: spans * self.span.0, id: line.number };
        let (key, calm) = self.key(controller, &begin, line);
        let known = self.courses.get(&hash(&key)).and_then(|alike| alike.iter().find(|course| course.key == key));
        match known {
            Some(course) => self.walk = Some(Walk { course: Arc::clone(course), begin, told: 0 }),
            None => {
                let device = controller.device_mut();
                let before = device.statistics.since(&Statistics::default());
                if let Some(flights) = &mut device.flights {
                    flights.log = Some(Vec::new());
                }
                let turned = controller.turned();
                self.record = Some(Record { key, begin, taken, before, calm, turned });
            }
        }
    }

    /// All that decides what comes, and whether no refresh is near.
    fn key(&self, controller: &Frfcfs, begin: &Origin, line: Line) -> (Vec<u64>, bool) {
        let mut key = Vec::with_capacity(1024);
        controller.encode_reads(begin, &mut key);
        let calm = key[self.calendar_at] >= self.reach;
        if calm {
            key[self.calendar_at] = self.reach;
        }
        controller.device().statistics.encode(begin.tick, self.margin, &mut key);
        for (number, left, done) in left_before(controller, line.number + 1, begin) {
            key.extend([number, left, done.map_or(u64::MAX, |tick| tick)]);
        }
        key.extend([line.address - begin.address, line.left, line.each]);
        (key, calm)
    }

    fn keep(&mut self, record: Record, controller: &Frfcfs, tick: u64, taken: u64, line: Line) {
        let ticks = tick - record.begin.tick;
        let log = controller.device().flights.as_ref().and_then(|flights| flights.log.as_ref());
        let near = record.calm && ticks >= self.reach;
        let Some(log) = log.filter(|_| !near && controller.turned() == record.turned) else { return };
        let begin = record.begin;
        let mut answers: Vec<_> =
            log.iter().map(|&(number, done)| (number.wrapping_sub(begin.id), done - begin.tick)).collect();
        answers.sort_by_key(|&(number, done)| (done, number));
        let mut end = controller.clone();
        let device = end.device_mut();
        device.flights = None;
        device.statistics = device.statistics.since(&record.before);
        let course = Course {
            begin,
            ticks,
            taken: taken - record.taken,
            flights: line.number - begin.id,
            calm: record.calm,
            left: left_before(controller, line.number + 1, &begin).collect(),
            answers,
            end,
            key: record.key,
        };
        if self.kept == KEPT {
            self.courses.clear();
            self.kept = 0;
        }
        self.kept += 1;
        self.courses.entry(hash(&course.key)).or_default().push(Arc::new(course));
    }
}

/// Reads under way before number `end`, as seen from `begin`.
fn left_before(controller: &Frfcfs, end: u64, begin: &Origin) -> impl Iterator<Item = Left> {
    let reads = controller.device().flights.iter().flat_map(move |flights| flights.reads_before(end));
    reads.map(move |(number, flight)| {
        let done = (flight.answer.tick > 0).then(|| flight.answer.tick.wrapping_sub(begin.tick));
        (number.wrapping_sub(begin.id), flight.left, done)
    })
}
