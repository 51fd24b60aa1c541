//! Certificates that are ordered: when, and where what comes of it is kept.

mod record;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use tokio::{task::JoinSet, time::sleep};
use zeroize::Zeroizing;

use record::Record;

use super::{BootError, doors::Doors, kept};
use crate::{
    acme::{self, Account, Failure, Issued, Proof, Way},
    config,
    edge::{Certificates, Challenges, Proven},
    observe::{Metrics, OrderOutcome},
    proxy::{Shown, Tokens},
    snapshot::{Acme, Certificate, CertificateFiles, ListenerKind, Snapshot},
    types::Name,
    upstream::World,
};

/// How often it is asked whether the same is still wanted.
const EVERY: Duration = Duration::from_secs(1);

/// How long a task sleeps at most: a clock may jump.
const LOOK: Duration = Duration::from_secs(60);

/// How long an authority that has had enough is left alone at least.
const LIMITED: Duration = Duration::from_secs(60 * 60);

/// How soon it is tried again to keep what there is.
const DISK: Duration = Duration::from_secs(10);

/// Who orders certificates, and renews them.
pub(super) struct AcmeKeeper {
    doors: Arc<Doors>,
    world: Arc<ArcSwap<World>>,
    challenges: Challenges,
    tokens: Tokens,
    metrics: Metrics,
    resting: AtomicBool,
}

/// One certificate, and the listeners that show it.
#[derive(Clone)]
struct Wanted {
    acme: Arc<Acme>,
    dir: PathBuf,
    listeners: Vec<(Name, Certificates)>,
}

/// A proof that is shown until it is dropped.
enum Showing {
    Tls { _proven: Proven },
    Http { _shown: Shown },
}

impl AcmeKeeper {
    pub(super) fn new(
        doors: &Arc<Doors>,
        world: &Arc<ArcSwap<World>>,
        (challenges, tokens): (&Challenges, &Tokens),
        metrics: &Metrics,
    ) -> Self {
        Self {
            doors: Arc::clone(doors),
            world: Arc::clone(world),
            challenges: challenges.clone(),
            tokens: tokens.clone(),
            metrics: metrics.clone(),
            resting: AtomicBool::new(false),
        }
    }

    /// Nothing more is ordered: the process is about to end, or another has its place.
    pub(super) fn rest(&self) {
        self.resting.store(true, Ordering::Relaxed);
    }

    /// Orders whatever is wanted, as the configuration changes. Ends only when dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let wanted = self.wanted();
            let mut tasks = JoinSet::new();
            for one in &wanted {
                tasks.spawn(Box::pin(provide(Arc::clone(&self), one.clone())));
            }
            while is_same(&wanted, &self.wanted()) {
                sleep(EVERY).await;
            }
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        let mut all: Vec<Wanted> = Vec::new();
        let Some(dir) = dir(&self.world.load().snapshot) else { return all };
        for (listener, certificates) in self.doors.certificates() {
            let Some(acme) = certificates.acme() else { continue };
            let listener = (listener, certificates);
            match all.iter_mut().find(|wanted| wanted.acme == acme) {
                Some(wanted) => wanted.listeners.push(listener),
                None => all.push(Wanted { acme, dir: dir.clone(), listeners: vec![listener] }),
            }
        }
        all
    }

    /// Whether some listener can show a proof in clear.
    fn redirects(&self) -> bool {
        let snapshot = Arc::clone(&self.world.load().snapshot);
        snapshot.listeners.iter().any(|l| matches!(l.kind, ListenerKind::Redirect { .. }))
    }

    fn show(&self, proof: Proof<'_>) -> Option<Showing> {
        match proof {
            Proof::TlsAlpn { domain, digest } => {
                Some(Showing::Tls { _proven: self.challenges.prove(domain, digest)? })
            }
            Proof::Http { token, authorization } => {
                Some(Showing::Http { _shown: self.tokens.show(token, authorization) })
            }
        }
    }
}

impl Wanted {
    fn deliver(&self, certificate: &Certificate) {
        for (_, certificates) in &self.listeners {
            certificates.deliver(&self.acme, certificate);
        }
    }
}

/// The directory of all that is ordered.
fn dir(snapshot: &Snapshot) -> Option<PathBuf> {
    snapshot.state_dir.as_ref().map(|dir| dir.join("acme"))
}

fn is_same(one: &[Wanted], other: &[Wanted]) -> bool {
    let names = |wanted: &Wanted| -> Vec<Name> {
        wanted.listeners.iter().map(|(name, _)| name.clone()).collect()
    };
    one.len() == other.len()
        && one.iter().zip(other).all(|(a, b)| a.acme == b.acme && names(a) == names(b))
}

/// Before anybody is served: the directory, and the certificate of the last time.
pub(super) fn begin(snapshot: &Snapshot, certificates: &Certificates) -> Result<(), BootError> {
    let (Some(dir), Some(acme)) = (dir(snapshot), certificates.acme()) else { return Ok(()) };
    if let Err(source) = make(&dir) {
        return Err(BootError::State { path: dir, source });
    }
    if let Some(certificate) = read(&dir, &acme) {
        certificates.deliver(&acme, &certificate);
    }
    Ok(())
}

/// Makes the directory, for its owner alone.
fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).recursive(true).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// The certificate that was ordered, if it is there and can be used.
fn read(dir: &Path, acme: &Acme) -> Option<Certificate> {
    let file = acme.file();
    if !dir.join(&file).exists() {
        return None;
    }
    let both: Box<str> = file.into();
    let files = CertificateFiles { directory: dir.to_owned(), cert: both.clone(), key: both };
    match config::certificate(&files, SystemTime::now()) {
        Ok(certificate) => Some(certificate),
        Err(problem) => {
            let (file, why) = (&*files.cert, &*problem.message);
            tracing::warn!(file, why, "the certificate that was ordered can't be used");
            None
        }
    }
}

/// Orders one certificate and renews it. Ends only when dropped.
async fn provide(keeper: Arc<AcmeKeeper>, wanted: Wanted) {
    let chance = acme::chance();
    let at = wanted.clone();
    let known = move || {
        // Where it can't be made, writing will fail and say so.
        let _ = make(&at.dir);
        (read(&at.dir, &at.acme), Record::read(&at.dir, &at.acme))
    };
    let (mut serving, mut record) = blocking(known).await.unwrap_or_default();
    serving.iter().for_each(|certificate| wanted.deliver(certificate));
    loop {
        let life = serving.as_ref().map(|c| (c.starts_at, c.expires_at));
        let due = life.map_or(0, |life| acme::renewal(life, chance));
        let due = u64::try_from(due).unwrap_or(0).max(record.not_before);
        let wait = Duration::from_secs(due.saturating_sub(now()));
        if !wait.is_zero() || keeper.resting.load(Ordering::Relaxed) {
            sleep(wait.clamp(EVERY, LOOK)).await;
            continue;
        }
        let certificate = attempt(&keeper, &wanted, &mut record).await;
        let issued = certificate.is_some();
        let outcome = if issued { OrderOutcome::Issued } else { OrderOutcome::Failed };
        for (listener, _) in &wanted.listeners {
            keeper.metrics.acme_order(listener, outcome);
        }
        serving = certificate.or(serving);
    }
}

/// One order. It counts as failed before it is begun: a process that dies over it again and again
/// must not order each time.
async fn attempt(keeper: &AcmeKeeper, wanted: &Wanted, record: &mut Record) -> Option<Certificate> {
    let acme = &wanted.acme;
    let way = record.next_way(keeper.redirects());
    let failures = record.failures.saturating_add(1);
    let wait = acme::wait(acme.retry, failures).as_secs().max(1);
    *record = Record { failures, not_before: now() + wait, way: Some(way) };
    keep(wanted, record).await;
    let (domains, directory) = (acme.domains.join(" "), &*acme.directory);
    tracing::info!(domains, directory, way = way.as_str(), "ordering a certificate");
    let failure = match ordered(keeper, wanted, way).await {
        Ok(issued) => {
            let certificate = kept_and_read(wanted, issued).await?;
            *record = Record { failures: 0, not_before: 0, way: Some(way) };
            keep(wanted, record).await;
            wanted.deliver(&certificate);
            let ends = jiff::Timestamp::from_second(certificate.expires_at).unwrap_or_default();
            tracing::info!(domains, %ends, "a certificate was issued");
            return Some(certificate);
        }
        Err(failure) => failure,
    };
    if failure.is_limit() {
        record.not_before = record.not_before.max(now() + LIMITED.as_secs());
        keep(wanted, record).await;
    }
    if failure.is_of_account() {
        let file = account_file(wanted);
        blocking(move || fs::remove_file(file)).await;
    }
    let again = i64::try_from(record.not_before).ok();
    let again = again.and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_default();
    let way = way.as_str();
    tracing::error!(domains, directory, way, why = %failure, %again, "no certificate was issued");
    None
}

/// The certificate as it is on the disk from now on; `None` where it is of no use, which the log says.
async fn kept_and_read(wanted: &Wanted, issued: Issued) -> Option<Certificate> {
    let pem = Zeroizing::new(format!("{}{}", &*issued.key, issued.chain).into_bytes());
    until_kept(wanted.dir.join(wanted.acme.file()), pem).await;
    let at = wanted.clone();
    blocking(move || read(&at.dir, &at.acme)).await.flatten()
}

async fn ordered(keeper: &AcmeKeeper, wanted: &Wanted, way: Way) -> Result<Issued, Failure> {
    let account = account(wanted).await?;
    acme::order(&account, &wanted.acme.domains, way, |proof| keeper.show(proof)).await
}

async fn account(wanted: &Wanted) -> Result<Account, Failure> {
    let file = account_file(wanted);
    let from = file.clone();
    let kept = blocking(move || fs::read(from).map(Zeroizing::new).ok()).await.flatten();
    let (account, new) = acme::account(&wanted.acme, kept.as_deref().map(Vec::as_slice)).await?;
    if let Some(new) = new {
        until_kept(file, new).await;
    }
    Ok(account)
}

/// An account is of an authority, whatever is ordered.
fn account_file(Wanted { acme, dir, .. }: &Wanted) -> PathBuf {
    let of = hex::encode(digest(&SHA256, acme.directory.as_bytes()));
    dir.join(format!("account-{}.json", of.get(..8).unwrap_or_default()))
}

/// Keeps a record, and doesn't return before: nothing is ordered that would be forgotten.
async fn keep(wanted: &Wanted, record: &Record) {
    let text = Zeroizing::new(record.text().into_bytes());
    until_kept(Record::file(&wanted.dir, &wanted.acme), text).await;
}

async fn until_kept(file: PathBuf, bytes: Zeroizing<Vec<u8>>) {
    let mut said = false;
    loop {
        let (to, what) = (file.clone(), bytes.clone());
        let written = blocking(move || kept::write(&to, &what)).await;
        match written.unwrap_or_else(|| Err(io::Error::other("the process ends"))) {
            Ok(()) => return,
            Err(error) if !said => {
                let file = file.display();
                tracing::error!(%file, %error, "what is ordered can't be kept; it waits until it can");
                said = true;
            }
            Err(_) => {}
        }
        sleep(DISK).await;
    }
}

/// What may wait for the disk. `None` where the process ends.
async fn blocking<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(what).await.ok()
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
