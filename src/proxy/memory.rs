//! Memory for bodies that are read whole.

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::types::{Denial, Limit};

/// What all bodies together may take, in bytes. Without it, 256 connections of one address with
/// 4 MiB each would be a gigabyte.
const IN_ALL: usize = 64 * 1024 * 1024;

/// A body up to this size isn't counted: the cap on connections bounds them.
const FREE: usize = 16 * 1024;

/// The unit of account, in bytes.
const UNIT: usize = 4 * 1024;

/// Memory for bodies that are read whole, shared by all.
#[derive(Clone)]
pub struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(IN_ALL / UNIT)))
    }
}

/// A body with the memory it was granted; returned by drop.
pub(super) struct Held<T> {
    value: T,
    _share: Option<OwnedSemaphorePermit>,
}

/// A share of the memory that grows with a body.
pub(super) struct Share<'m> {
    memory: &'m Memory,
    size: usize,
    granted: Option<OwnedSemaphorePermit>,
}

impl Share<'_> {
    /// Takes `more` bytes.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Denial> {
        // Of the whole size and not of each part: a body of one-byte chunks would take a unit a byte.
        let before = units(self.size);
        self.size += more;
        let units = u32::try_from(units(self.size) - before).map_err(|_| Denial::BodyTooLarge)?;
        if units == 0 {
            return Ok(());
        }
        let grant = Arc::clone(&self.memory.0).try_acquire_many_owned(units);
        let grant = grant.map_err(|_| Denial::Overload(Limit::Bodies))?;
        match &mut self.granted {
            Some(granted) => granted.merge(grant),
            None => self.granted = Some(grant),
        }
        Ok(())
    }

    /// Takes what is missing to `size` bytes, or gives back what is over.
    pub(super) fn resize(&mut self, size: usize) -> Result<(), Denial> {
        if size >= self.size {
            return self.grow(size - self.size);
        }
        let over = units(self.size) - units(size);
        self.size = size;
        // What is split off is given back by drop.
        drop(self.granted.as_mut().and_then(|granted| granted.split(over)));
        Ok(())
    }

    /// The body that it was grown for.
    pub(super) fn hold<T>(self, value: T) -> Held<T> {
        Held { value, _share: self.granted }
    }
}

/// What a body of that size is charged.
const fn units(size: usize) -> usize {
    size.saturating_sub(FREE).div_ceil(UNIT)
}

impl<T> Held<T> {
    /// The value, and what it was granted, to be held for as long as the value is.
    pub(super) fn apart(self) -> (T, Held<()>) {
        (self.value, Held { value: (), _share: self._share })
    }

    /// Another value in its place, larger by a few bytes at most.
    pub(super) fn with(self, value: T) -> Self {
        Self { value, ..self }
    }
}

impl Held<Bytes> {
    /// No body.
    pub(super) const fn nothing() -> Self {
        Self { value: Bytes::new(), _share: None }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Memory {
    /// The share of one body, nothing yet.
    pub(super) const fn share(&self) -> Share<'_> {
        Share { memory: self, size: 0, granted: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_charged_by_its_size_however_it_comes() {
        let memory = Memory::default();
        let whole = memory.0.available_permits();
        let mut share = memory.share();
        for _ in 0..FREE + 3 * UNIT {
            share.grow(1).unwrap();
        }
        assert_eq!(whole - memory.0.available_permits(), 3);
        share.resize(FREE + 2 * UNIT).unwrap();
        assert_eq!(whole - memory.0.available_permits(), 2);
        share.resize(FREE + 5 * UNIT).unwrap();
        assert_eq!(whole - memory.0.available_permits(), 5);
        share.resize(0).unwrap();
        assert_eq!(memory.0.available_permits(), whole);
        share.resize(FREE + UNIT).unwrap();
        drop(share);
        assert_eq!(memory.0.available_permits(), whole);
        assert_eq!(memory.share().grow(IN_ALL + FREE + 1), Err(Denial::Overload(Limit::Bodies)));
    }
}
