//! How much one round of a unit's pieces is: its firings, and the tokens that it moves.

use super::body::{Body, Piece, Use};

/// Firings in one pass through a list of pieces.
pub(super) fn firings(pieces: &[Piece]) -> u64 {
    let (mut total, mut outer) = (0u64, vec![1u64]);
    for piece in pieces {
        let times = outer[outer.len() - 1];
        match *piece {
            Piece::Run { firings, .. } => total = total.saturating_add(firings.saturating_mul(times)),
            Piece::Begin { times: inner } => outer.push(times.saturating_mul(inner)),
            Piece::End { .. } => _ = outer.pop(),
        }
    }
    total
}

/// The end of the loop that begins at `begin`.
pub(super) fn end_of(pieces: &[Piece], begin: usize) -> usize {
    let closes = |(_, piece): &(usize, &Piece)| matches!(piece, Piece::End { begin: of } if *of == begin);
    pieces.iter().enumerate().skip(begin).find(closes).map_or(pieces.len(), |(at, _)| at)
}

/// The outermost piece of a unit that has the most firings, and how often it goes around.
pub(super) fn main_piece(pieces: &[Piece], bodies: &[Body]) -> Option<(usize, u64)> {
    let (mut at, mut best) = (0, None);
    while at < pieces.len() {
        let (count, rounds, next) = match pieces[at] {
            Piece::Run { body, firings } => (firings, firings / bodies[body].actions.len() as u64, at + 1),
            Piece::Begin { times } => {
                let end = end_of(pieces, at);
                (firings(&pieces[at..end + 1]), times, end + 1)
            }
            Piece::End { .. } => (0, 0, at + 1),
        };
        if best.is_none_or(|(_, _, most)| count > most) {
            best = Some((at, rounds, count));
        }
        at = next;
    }
    best.map(|(at, rounds, _)| (at, rounds))
}

/// Tokens that one round of a piece moves on a stream.
pub(super) fn tokens(pieces: &[Piece], at: usize, bodies: &[Body], lane: usize, input: bool) -> u64 {
    let of_body = |body: usize| {
        let uses = if input { &bodies[body].consume } else { &bodies[body].produce };
        let round = |end: &Use| end.tokens(0, bodies[body].actions.len());
        uses.iter().filter(|end| end.lane == lane).map(round).sum::<u64>()
    };
    match pieces[at] {
        Piece::Run { body, .. } => of_body(body),
        Piece::Begin { .. } => {
            let (mut total, mut outer) = (0u64, vec![1u64]);
            for piece in &pieces[at + 1..end_of(pieces, at)] {
                let times = outer[outer.len() - 1];
                match *piece {
                    Piece::Run { body, firings } => {
                        let rounds = firings / bodies[body].actions.len() as u64;
                        total = total.saturating_add(of_body(body).saturating_mul(rounds).saturating_mul(times));
                    }
                    Piece::Begin { times: inner } => outer.push(times.saturating_mul(inner)),
                    Piece::End { .. } => _ = outer.pop(),
                }
            }
            total
        }
        Piece::End { .. } => 0,
    }
}
