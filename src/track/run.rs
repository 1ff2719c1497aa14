//! The work on some windows of one device: which cells they need, and what each gets of them.

use std::collections::BTreeMap;

use super::cell::{self, Cell, Ends};
use super::clean;
use super::road::Asker;
use super::seam::{self, Edge, EdgeKind};
use super::stretch;
use super::{Fix, Micros, Outcome, Recipe, Window};
use crate::osrm::{MatchError, Matcher};

/// Length of a cell.
const CELL: Micros = 300 * clean::SECOND;

/// The cell that holds an instant.
pub fn cell_at(time: Micros) -> Window {
    let start = time.div_euclid(CELL).saturating_mul(CELL);
    Window {
        start,
        end: start.saturating_add(CELL),
    }
}

impl Recipe {
    /// The number of the window that holds an instant.
    pub(super) fn slice(&self, time: Micros) -> i64 {
        time.div_euclid(self.window.max(1))
    }
}

pub struct Run<'a> {
    fixes: Vec<Fix>,
    /// Times of fixes that repeated another exactly, ascending.
    copies: Vec<Micros>,
    recipe: &'a Recipe,
    asker: Asker<'a>,
    /// By the start of the cell that begins there.
    edges: BTreeMap<Micros, Result<Edge, MatchError>>,
    cells: BTreeMap<Micros, Result<Cell, MatchError>>,
}

impl<'a> Run<'a> {
    pub fn new(fixes: &[Fix], recipe: &'a Recipe, matcher: &'a dyn Matcher) -> Self {
        let (fixes, copies) = clean::sorted(fixes.to_vec());
        Run {
            fixes,
            copies,
            recipe,
            asker: Asker::new(matcher),
            edges: BTreeMap::new(),
            cells: BTreeMap::new(),
        }
    }

    pub fn outcome(&mut self, window: Window) -> Result<Outcome, MatchError> {
        let mut outcome = Outcome {
            context: (window.start, window.end),
            ..Outcome::default()
        };
        let (mut stretches, mut stops) = (Vec::new(), Vec::new());
        let mut from = window.start;
        while let Some(time) = self.next_fix(from).filter(|time| *time < window.end) {
            let span = cell_at(time);
            let cell = self.cell(span)?;
            outcome.context.0 = outcome.context.0.min(cell.context.0);
            outcome.context.1 = outcome.context.1.max(cell.context.1);
            outcome.refusal = outcome.refusal.or_else(|| cell.refusal.clone());
            outcome.dropped.add(cell.cleaned.dropped(window, span));
            let here = cell
                .stretches
                .iter()
                .filter(|stretch| window.holds(stretch.start));
            stretches.extend(here.cloned());
            let standings = cell.standings.iter();
            stops.extend(standings.filter_map(|s| stretch::stop(s, &cell.cleaned, window)));
            from = span.end;
        }
        let copies = |until: Micros| self.copies.partition_point(|time| *time < until);
        outcome.dropped.duplicate += copies(window.end) - copies(window.start);
        outcome.paths = stretch::paths(stretches);
        outcome.stops = stretch::join(stops);
        outcome.osrm_calls = self.asker.take_calls();
        Ok(outcome)
    }

    fn next_fix(&self, from: Micros) -> Option<Micros> {
        self.fixes
            .get(self.fixes.partition_point(|f| f.time < from))
            .map(|f| f.time)
    }

    /// Two windows may need the same cell: it is settled once, and fails once.
    fn cell(&mut self, span: Window) -> Result<&Cell, MatchError> {
        if !self.cells.contains_key(&span.start) {
            let settled = self.settle(span);
            self.cells.insert(span.start, settled);
        }
        self.cells[&span.start].as_ref().map_err(Clone::clone)
    }

    fn settle(&mut self, span: Window) -> Result<Cell, MatchError> {
        let start = self.edge(span)?;
        let (end, reach) = self.end(span)?;
        let context = (start.context.0, reach.max(start.context.1));
        let from = self.fixes.partition_point(|f| f.time < context.0);
        let to = self.fixes.partition_point(|f| f.time < context.1);
        let seam = |edge: &Edge| match edge.kind {
            EdgeKind::Seam(seam) => Some(seam),
            _ => None,
        };
        let ends = Ends {
            start: seam(&start),
            end: end.as_ref().and_then(seam),
            found: end
                .as_ref()
                .map_or(start.found, |edge| start.found.or_worse(edge.found)),
        };
        let fixes = &self.fixes[from..to];
        let mut cell = cell::settle(span, &ends, fixes, self.recipe, &self.asker)?;
        if start.kind == EdgeKind::Nothing {
            // The cell before runs on beyond this one.
            cell.stretches.clear();
        }
        cell.refusal = cell.refusal.or(start.refusal);
        cell.context = context;
        Ok(cell)
    }

    /// The edge where the line of a cell ends, and how far the fixes reach that decided it.
    fn end(&mut self, span: Window) -> Result<(Option<Edge>, Micros), MatchError> {
        let limit = span.end.saturating_add(self.recipe.max_gap);
        let mut probe = span.end;
        while let Some(time) = self.next_fix(probe).filter(|time| *time < limit) {
            let holder = cell_at(time);
            let edge = self.edge(holder)?;
            let reach = edge.context.1;
            match edge.kind {
                EdgeKind::Seam(_) => return Ok((Some(edge), reach)),
                EdgeKind::Break => return Ok((None, reach)),
                EdgeKind::Nothing => probe = holder.end,
            }
        }
        Ok((None, limit.max(probe)))
    }

    /// Two cells meet at an edge: it is decided once, and fails once.
    fn edge(&mut self, span: Window) -> Result<Edge, MatchError> {
        let decide = || seam::edge(span, &self.fixes, self.recipe, &self.asker);
        self.edges.entry(span.start).or_insert_with(decide).clone()
    }
}
