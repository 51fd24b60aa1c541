//! Memory for bodies that are read whole.

use std::{
    collections::HashMap,
    net::IpAddr,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::types::{AddressGroup, Denial, Limit};

/// What all bodies together may take, in bytes. Without it, 256 connections of one address with
/// 4 MiB each would be a gigabyte.
const IN_ALL: usize = 64 * 1024 * 1024;

/// A body up to this size isn't counted: the cap on connections bounds them.
const FREE: usize = 16 * 1024;

/// The unit of account, in bytes.
const UNIT: usize = 4 * 1024;

/// What the bodies of one address may take beside each other, in bytes. A body that is alone may be
/// larger: its route says how large.
const OF_ADDRESS: usize = IN_ALL / 4;

/// Memory for bodies that are read whole, shared by all.
#[derive(Clone)]
pub struct Memory {
    free: Arc<Semaphore>,
    /// Units of each address that has some.
    by_address: Arc<Mutex<HashMap<AddressGroup, usize>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(IN_ALL / UNIT)), by_address: Arc::default() }
    }
}

/// A body with the memory it was granted; returned by drop.
pub(super) struct Held<T> {
    value: T,
    _share: Option<Granted>,
}

/// A share of the memory that grows with a body.
pub(super) struct Share<'m> {
    memory: &'m Memory,
    /// Whose body it is, where it came from a client.
    of: Option<AddressGroup>,
    size: usize,
    granted: Option<Granted>,
}

/// What was granted; returned by drop.
struct Granted {
    permit: OwnedSemaphorePermit,
    of: Option<OfAddress>,
}

/// What of it counts against an address.
struct OfAddress {
    memory: Memory,
    address: AddressGroup,
    units: usize,
}

impl Share<'_> {
    /// Takes `more` bytes.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Denial> {
        // Of the whole size and not of each part: a body of one-byte chunks would take a unit a byte.
        let before = units(self.size);
        self.size += more;
        let more = units(self.size) - before;
        let permits = u32::try_from(more).map_err(|_| Denial::BodyTooLarge)?;
        if permits == 0 {
            return Ok(());
        }
        let of = self.of.map(|address| self.memory.of_address(address, (before, more)));
        let of = of.transpose()?;
        let permit = Arc::clone(&self.memory.free).try_acquire_many_owned(permits);
        let permit = permit.map_err(|_| Denial::Overload(Limit::Bodies))?;
        match &mut self.granted {
            Some(granted) => granted.merge(Granted { permit, of }),
            None => self.granted = Some(Granted { permit, of }),
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
        if let Some(granted) = &mut self.granted {
            granted.give_back(over);
        }
        Ok(())
    }

    /// The body that it was grown for.
    pub(super) fn hold<T>(self, value: T) -> Held<T> {
        Held { value, _share: self.granted }
    }
}

impl Granted {
    fn merge(&mut self, mut more: Self) {
        if let (Some(own), Some(of)) = (&mut self.of, &mut more.of) {
            own.units += std::mem::take(&mut of.units);
        }
        self.permit.merge(more.permit);
    }

    fn give_back(&mut self, over: usize) {
        // What is split off is given back by drop.
        drop(self.permit.split(over));
        if let Some(of) = &mut self.of {
            of.give_back(over);
        }
    }
}

impl OfAddress {
    fn give_back(&mut self, units: usize) {
        let units = units.min(self.units);
        self.units -= units;
        let mut all = self.memory.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = all.get_mut(&self.address) {
            *held -= units;
            if *held == 0 {
                all.remove(&self.address);
            }
        }
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        self.give_back(self.units);
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
    /// The share of one body, nothing yet; of a client's, it counts for the client's address too.
    pub(super) fn share(&self, client: Option<IpAddr>) -> Share<'_> {
        Share { memory: self, of: client.map(AddressGroup::from), size: 0, granted: None }
    }

    /// So many units more of an address, for a body that has `own` of them.
    fn of_address(
        &self,
        address: AddressGroup,
        (own, more): (usize, usize),
    ) -> Result<OfAddress, Denial> {
        let mut all = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.get(&address).copied().unwrap_or(0);
        if held > own && held + more > OF_ADDRESS / UNIT {
            return Err(Denial::Overload(Limit::Bodies));
        }
        all.insert(address, held + more);
        drop(all);
        Ok(OfAddress { memory: self.clone(), address, units: more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_charged_by_its_size_however_it_comes() {
        let memory = Memory::default();
        let whole = memory.free.available_permits();
        let client = "192.0.2.1".parse().ok();
        let mut share = memory.share(client);
        for _ in 0..FREE + 3 * UNIT {
            share.grow(1).unwrap();
        }
        assert_eq!(whole - memory.free.available_permits(), 3);
        share.resize(FREE + 2 * UNIT).unwrap();
        assert_eq!(whole - memory.free.available_permits(), 2);
        share.resize(FREE + 5 * UNIT).unwrap();
        assert_eq!(whole - memory.free.available_permits(), 5);
        share.resize(0).unwrap();
        assert_eq!(memory.free.available_permits(), whole);
        share.resize(FREE + UNIT).unwrap();
        drop(share);
        assert_eq!(memory.free.available_permits(), whole);
        assert_eq!(
            memory.share(client).grow(IN_ALL + FREE + 1),
            Err(Denial::Overload(Limit::Bodies))
        );
    }
    #[test]
    fn an_address_has_a_quarter_for_all_its_bodies_and_one_alone_may_be_larger() {
        let memory = Memory::default();
        let share = |client: &str| memory.share(client.parse().ok());
        let (mut first, mut second) = (share("192.0.2.1"), share("192.0.2.1"));
        first.grow(OF_ADDRESS + FREE + UNIT).unwrap();
        assert_eq!(second.grow(FREE + 1), Err(Denial::Overload(Limit::Bodies)));
        share("192.0.2.2").grow(OF_ADDRESS).unwrap();
        first.resize(OF_ADDRESS + FREE - 2 * UNIT).unwrap();
        let mut third = share("192.0.2.1");
        third.grow(FREE + UNIT).unwrap();
        third.grow(UNIT).unwrap();
        assert!(third.grow(1).is_err() && first.grow(UNIT).is_err());
        drop((first, second, third));
        assert!(memory.by_address.lock().unwrap().is_empty(), "nothing is kept of who left");
        assert_eq!(memory.free.available_permits(), IN_ALL / UNIT);
    }
}
