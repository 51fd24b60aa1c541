use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    doors::Doors,
    stamps::{Seen, stamps},
};
use crate::{
    config::{self, Problem},
    edge::ClientAuthorities,
    snapshot::{ClientAuthority, ClientAuthorityFiles},
    types::Name,
};

/// Who looks at the files of those who answer for clients, and puts what is new in the place of what is
/// old. Whoever is connected stays: their certificates were held against the old ones.
pub(super) struct ClientAuthorityKeeper {
    doors: Arc<Doors>,
    seen: Mutex<HashMap<(Name, ClientAuthorityFiles), Seen>>,
}

impl ClientAuthorityKeeper {
    /// The keeper of those of these listeners.
    pub(super) fn new(doors: &Arc<Doors>) -> Self {
        Self { doors: Arc::clone(doors), seen: Mutex::default() }
    }

    /// Looks at every file, and reads those that have changed.
    pub(super) fn turn(&self) {
        let mut before = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::new();
        for (listener, authorities) in self.doors.client_authorities() {
            let of = (listener.clone(), authorities.now().files.clone());
            let mut seen = before.remove(&of).unwrap_or_default();
            look(&mut seen, &listener, &authorities);
            now.insert(of, seen);
        }
        *before = now;
    }
}

fn look(seen: &mut Seen, listener: &Name, authorities: &ClientAuthorities) {
    let serving = authorities.now();
    let ClientAuthority { files, required, contents, .. } = &*serving;
    let paths = std::iter::once(&*files.ca).chain(files.crl.as_deref());
    let read = || config::client_authority((files, *required), SystemTime::now());
    match seen.look(stamps(&files.directory, paths), read) {
        Some(Ok(read)) if read.contents != *contents => {
            if authorities.renew(&serving, Arc::new(read)) {
                let file = &*files.ca;
                tracing::info!(%listener, file, "who answers for clients was replaced");
            }
        }
        Some(Err(problem)) => tell(listener, files, &problem),
        Some(Ok(_)) | None => {}
    }
}

fn tell(listener: &Name, files: &ClientAuthorityFiles, problem: &Problem) {
    let (file, why) = (&*files.ca, &*problem.message);
    let hint = problem.hint.as_deref().unwrap_or_default();
    tracing::error!(
        %listener, file, why, hint,
        "who answers for clients can't be replaced; the old one goes on until the files change again"
    );
}
