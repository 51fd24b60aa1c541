use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    client_authorities::ClientAuthorityKeeper,
    doors::Doors,
    kept_file,
    stamps::{Seen, stamps},
};
use crate::{
    config::{self, Problem},
    edge::Certificates,
    observe::Metrics,
    snapshot::{Certificate, CertificateFiles},
    types::Name,
};

/// How often files are looked at. Looking costs two questions to the system a certificate.
const EVERY: Duration = Duration::from_secs(1);

/// Who looks at the files of all listeners' certificates, and puts what is new in the place of what is
/// old. Live connections notice nothing.
pub(super) struct CertificateKeeper {
    doors: Arc<Doors>,
    seen: Mutex<HashMap<(Name, CertificateFiles), Seen>>,
    shown: Mutex<BTreeMap<(Name, Name), i64>>,
    /// Whom their clients come from.
    clients: ClientAuthorityKeeper,
    metrics: Metrics,
}

impl CertificateKeeper {
    /// The keeper of the certificates of these listeners.
    pub(super) fn new(doors: &Arc<Doors>, metrics: &Metrics) -> Self {
        let (clients, metrics) = (ClientAuthorityKeeper::new(doors), metrics.clone());
        let (seen, shown) = (Mutex::default(), Mutex::default());
        let keeper = Self { doors: Arc::clone(doors), seen, shown, clients, metrics };
        keeper.show();
        keeper
    }

    /// Looks again and again. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        kept_file::keep(self, EVERY, Self::turn).await;
    }

    /// Looks at every file, and reads those that have changed.
    fn turn(&self) {
        let mut before = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = HashMap::new();
        let listeners = self.doors.certificates();
        for (listener, certificates) in &listeners {
            for certificate in certificates.list() {
                let of = (listener.clone(), certificate.files.clone());
                let mut seen = before.remove(&of).unwrap_or_default();
                look(&mut seen, (listener, certificates), &certificate);
                now.insert(of, seen);
            }
        }
        *before = now;
        drop(before);
        self.clients.turn();
        self.show();
    }

    /// Shows when each ends. Of two with one name the one that ends first.
    fn show(&self) {
        let mut now = BTreeMap::new();
        let listeners = self.doors.certificates();
        for (listener, certificates) in &listeners {
            for Certificate { label, expires_at, .. } in certificates.list() {
                let ends = now.entry((listener.clone(), label)).or_insert(expires_at);
                *ends = expires_at.min(*ends);
            }
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for (listener, label) in shown.keys().filter(|shown| !now.contains_key(shown)) {
            self.metrics.certificate_gone(listener, label);
        }
        for ((listener, label), ends) in &now {
            self.metrics.certificate(listener, label, *ends);
        }
        *shown = now;
    }
}

/// Reads the files, where they are not those that were read.
fn look(seen: &mut Seen, (listener, certificates): (&Name, &Certificates), serving: &Certificate) {
    let CertificateFiles { directory, cert, key } = &serving.files;
    let read = || config::certificate(&serving.files, SystemTime::now());
    match seen.look(stamps(directory, [&**cert, &**key]), read) {
        Some(Ok(read)) if !read.is(serving) => {
            if certificates.renew(&read) {
                let file = &**cert;
                let ends = jiff::Timestamp::from_second(read.expires_at).unwrap_or_default();
                tracing::info!(%listener, file, %ends, "a certificate was replaced");
            }
        }
        Some(Err(problem)) => tell(listener, &serving.files, &problem),
        Some(Ok(_)) | None => {}
    }
}

fn tell(listener: &Name, files: &CertificateFiles, problem: &Problem) {
    let (file, why) = (&*files.cert, &*problem.message);
    let hint = problem.hint.as_deref().unwrap_or_default();
    tracing::error!(
        %listener, file, why, hint,
        "a certificate can't be replaced; the old one serves on until the files change again"
    );
}
