//! `fast`.
use crate::counters::Run;
use crate::engine::Parts;
use crate::error::RunError;
use crate::observer::Probe;
use crate::operator::Operator;

pub(crate) fn run<const VALUES: bool, P: Probe>(
    parts: Parts,
    operators: &mut [Box<dyn Operator>],
    probe: P,
    _skip: bool,
) -> Result<Run, RunError> {
    crate::step::run::<VALUES, P>(parts, operators, probe)
}
