//! What a compiled expression runs in: the facts, the moment, the constants, the variables of macros, the fuel.

use std::cell::Cell;

use super::error::Fault;
use super::moment::Moment;
use super::value::Value;
use crate::policy::rules::Facts;

/// The most steps that one evaluation may take; a step is a few nanoseconds. The static bound of every expression lies
/// below it, so only facts beyond the declared caps can use it up.
pub(super) const FUEL: u32 = 500_000;

/// The steps that are left.
#[derive(Debug)]
pub(super) struct Fuel(Cell<u32>);

impl Fuel {
    pub(super) const fn of(steps: u32) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes `steps` steps, or says that they are not there.
    pub(super) fn spend(&self, steps: usize) -> Result<(), Fault> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.get().checked_sub(steps));
        self.0.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Fault::Fuel)
    }

    /// The work of looking once through `bytes` bytes.
    pub(super) fn scan(&self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes / SCANNED)
    }

    /// The work of writing `bytes` bytes anew.
    pub(super) fn write(&self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes / WRITTEN + 1)
    }

    #[cfg(test)]
    pub(super) const fn left(&self) -> u32 {
        self.0.get()
    }
}

/// How many bytes are compared or searched in one step.
pub(super) const SCANNED: usize = 64;
/// How many bytes are written in one step; this also bounds the memory that an evaluation can ask for.
pub(super) const WRITTEN: usize = 16;
/// How many bytes a regular expression reads in one step.
pub(super) const MATCHED: usize = 4;

/// What all of an evaluation shares.
#[derive(Debug)]
pub(super) struct Root<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) now: Moment,
    pub(super) constants: &'a [Value<'static>],
    pub(super) fuel: Fuel,
}

/// A place in an evaluation: the innermost variable of a macro, and what is around it.
#[derive(Debug)]
pub(super) struct Env<'e, 'a> {
    pub(super) root: &'e Root<'a>,
    pub(super) variable: Value<'a>,
    pub(super) outer: Option<&'e Self>,
}

impl<'e, 'a> Env<'e, 'a> {
    /// Outside of all macros.
    pub(super) const fn outermost(root: &'e Root<'a>) -> Self {
        Self { root, variable: Value::Null, outer: None }
    }

    /// Inside of a macro.
    pub(super) const fn with(&'e self, variable: Value<'a>) -> Self {
        Self { root: self.root, variable, outer: Some(self) }
    }

    /// The variable of the macro that is `hops` macros further out than the innermost.
    pub(super) fn variable(&self, hops: usize) -> Value<'a> {
        let mut place = self;
        for _ in 0..hops {
            place = place.outer.unwrap_or(place);
        }
        place.variable.clone()
    }
}
