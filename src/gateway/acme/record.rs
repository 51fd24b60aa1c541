use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{acme::Way, snapshot::Acme};

/// What is known of the orders of one certificate. It outlives the process: a restart is no reason to
/// bother an authority sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Orders that failed since the last that didn't.
    pub(super) failures: u32,
    /// Nothing is ordered before this, in seconds since 1970.
    pub(super) not_before: u64,
    /// The way of the last order.
    pub(super) way: Option<Way>,
}

#[derive(Default, Serialize, Deserialize)]
struct Written {
    failures: u32,
    not_before: u64,
    way: String,
}

impl Record {
    /// Where it is kept.
    pub(super) fn file(dir: &Path, acme: &Acme) -> PathBuf {
        dir.join(format!("{}.json", acme.label))
    }

    /// What was kept; nothing where that can't be read.
    pub(super) fn read(dir: &Path, acme: &Acme) -> Self {
        let bytes = fs::read(Self::file(dir, acme)).unwrap_or_default();
        let written: Written = serde_json::from_slice(&bytes).unwrap_or_default();
        let ways = [Way::TlsAlpn, Way::Http];
        let way = ways.into_iter().find(|way| way.as_str() == written.way);
        Self { failures: written.failures, not_before: written.not_before, way }
    }

    pub(super) fn text(&self) -> String {
        let way = self.way.map(Way::as_str).unwrap_or_default().to_owned();
        let written = Written { failures: self.failures, not_before: self.not_before, way };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// The way that went last time; the other one after a failure, where there are two.
    pub(super) fn next_way(&self, redirects: bool) -> Way {
        match (self.way, self.failures > 0) {
            _ if !redirects => Way::TlsAlpn,
            (None | Some(Way::Http), true) | (None | Some(Way::TlsAlpn), false) => Way::TlsAlpn,
            (Some(Way::TlsAlpn), true) | (Some(Way::Http), false) => Way::Http,
        }
    }
}
