use ipnet::IpNet;

use super::life::Life;
use crate::types::{Fingerprint, FingerprintKey, Name, RequestId, SessionMark, canonical};

/// Which of what lives is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// What came with a key of this consumer.
    Consumer(Name),
    /// What came with the key that is shown so.
    Key(Fingerprint),
    /// What came from this net.
    Net(IpNet),
    /// What is of this session.
    Session(SessionMark),
    /// What is of the session that is shown so.
    ShownSession(Fingerprint),
    /// This one.
    One(RequestId),
    /// Everything.
    All,
}

impl Which {
    /// Whether it means this one.
    pub fn means(&self, life: &Life, fingerprints: &FingerprintKey) -> bool {
        match self {
            Self::Consumer(name) => life.whose.consumer.as_ref() == Some(name),
            Self::Key(shown) => {
                life.whose.key.is_some_and(|key| fingerprints.fingerprint(&key) == *shown)
            }
            Self::Net(net) => net.contains(&canonical(life.whose.client)),
            Self::Session(session) => life.session() == Some(*session),
            Self::ShownSession(shown) => {
                life.session().is_some_and(|session| session.fingerprint() == *shown)
            }
            Self::One(id) => life.id == *id,
            Self::All => true,
        }
    }
}
