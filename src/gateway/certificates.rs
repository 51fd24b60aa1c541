use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{doors::Doors, kept_file};
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
    metrics: Metrics,
}

/// What was seen of a certificate's files.
#[derive(Default)]
struct Seen {
    stamps: Option<Stamps>,
    /// Whether what these stamps stand for was read, and read once more when it stood still.
    done: bool,
    /// What was said to be wrong.
    said: Option<String>,
}

/// Certificate and key. `None` for what can't be seen.
type Stamps = [Option<Stamp>; 2];

/// What changes with a file, behind all links: certbot and Kubernetes put new links in old places.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl CertificateKeeper {
    /// The keeper of the certificates of these listeners.
    pub(super) fn new(doors: &Arc<Doors>, metrics: &Metrics) -> Self {
        let (doors, metrics) = (Arc::clone(doors), metrics.clone());
        let keeper = Self { doors, seen: Mutex::default(), shown: Mutex::default(), metrics };
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
                seen.look((listener, certificates), &certificate);
                now.insert(of, seen);
            }
        }
        *before = now;
        drop(before);
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

impl Seen {
    /// Reads the files, where they are not those that were read.
    fn look(&mut self, (listener, certificates): (&Name, &Certificates), serving: &Certificate) {
        let stamps = stamps(&serving.files);
        let stands_still = self.stamps == Some(stamps);
        if self.done && stands_still {
            return;
        }
        (self.stamps, self.done) = (Some(stamps), stands_still);
        match config::certificate(&serving.files, SystemTime::now()) {
            Ok(read) => {
                self.said = None;
                if !read.is(serving) && certificates.renew(&read) {
                    let file = &*serving.files.cert;
                    let ends = jiff::Timestamp::from_second(read.expires_at).unwrap_or_default();
                    tracing::info!(%listener, file, %ends, "a certificate was replaced");
                }
            }
            // Whoever writes two files is between them for a moment.
            Err(problem) if stands_still => self.tell(listener, &serving.files, &problem),
            Err(_) => {}
        }
    }

    /// Says once what is wrong.
    fn tell(&mut self, listener: &Name, files: &CertificateFiles, problem: &Problem) {
        if self.said.as_ref() == Some(&problem.message) {
            return;
        }
        let (file, why) = (&*files.cert, &*problem.message);
        let hint = problem.hint.as_deref().unwrap_or_default();
        tracing::error!(
            %listener, file, why, hint,
            "a certificate can't be replaced; the old one serves on until the files change again"
        );
        self.said = Some(problem.message.clone());
    }
}

fn stamps(files: &CertificateFiles) -> Stamps {
    [&files.cert, &files.key].map(|path| {
        let seen = fs::metadata(files.directory.join(&**path)).ok()?;
        Some(Stamp {
            inode: (seen.dev(), seen.ino()),
            size: seen.size(),
            written: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
    })
}
