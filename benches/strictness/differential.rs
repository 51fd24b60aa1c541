//! Generated connections, each sent to Portcullis, nginx and HAProxy: what reaches the server behind
//! is compared, request by request. Who refuses more is counted; whatever else differs has to have a
//! rule here with its reason, or fails the run with the bytes and the seed.

#![expect(clippy::print_stdout, reason = "what was found is what the program is for")]

use std::{collections::BTreeMap, env, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, yield_now},
    time,
};

use crate::{
    Outcome,
    backend::Request,
    peers::{Kind, Peer},
    trust::Trust,
};

#[path = "../../tests/differential/cases.rs"]
mod cases;

use cases::Case;

const CASES: u64 = 20_000;

/// So many of each peer, every one before a server of its own.
const WORKERS: u64 = 16;

/// A peer that says nothing for so long has said all.
const QUIET: Duration = Duration::from_millis(60);

/// The same where two disagree: one of them may have been slow.
const VERY_QUIET: Duration = Duration::from_millis(600);

/// What may differ, in whose reading, what the connection has to hold in lower case, and the reason.
/// In all of them what is read here is what the specification says, or nothing is read in two ways.
const EXPLAINED: [(Kind, &str, &str, &str); 9] = [
    (Kind::Nginx, "400 alone", "authorization: ", "it refuses two; nobody here reads a site's"),
    (Kind::Nginx, "400 alone", "host:\t", "a TAB is white space, as SP is"),
    (Kind::Nginx, "400 alone", "host: \t", "a TAB is white space, as SP is"),
    (Kind::Nginx, "200 alone", "connection: close", "it goes by the letters, whatever they are in"),
    (Kind::Nginx, "one more", "http/1.0", "an HTTP/1.0 connection carries one request here"),
    (Kind::Nginx, "one more", "connection: close", "it goes by one of several Connection fields"),
    (Kind::Nginx, "501 alone", "transfer-encoding:\t", "a TAB is white space, as SP is"),
    (Kind::Haproxy, "413 alone", "http/1.0", "it takes no body of such a method in HTTP/1.0"),
    (Kind::Haproxy, "one more", "http/1.0", "an HTTP/1.0 connection carries one request here"),
];

/// What became of a connection.
struct Seen {
    requests: Vec<Request>,
    statuses: Vec<String>,
    /// The word of the gateway's last refusal.
    reason: String,
}

#[derive(Default)]
struct Tally {
    alike: u64,
    found: BTreeMap<String, u64>,
    unexplained: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "the Makefile tells it so what to send")]
pub(crate) async fn run() -> Outcome<()> {
    let number = |name: &str, default| env::var(name).map_or(Ok(default), |text| text.parse());
    let first = number("DIFFERENTIAL_SEED", 0)?;
    let count = number("DIFFERENTIAL_CASES", CASES)?;
    let folder = tempfile::tempdir()?;
    let trust = Arc::new(Trust::write_to(folder.path())?);
    let mut working = JoinSet::new();
    for worker in 0..WORKERS {
        let trust = Arc::clone(&trust);
        let seeds = (first..first + count).filter(move |seed| seed % WORKERS == worker);
        working.spawn(async move { work(seeds, &trust).await.map_err(|error| error.to_string()) });
    }
    let mut all = Tally::default();
    while let Some(worked) = working.join_next().await {
        let tally = worked??;
        all.alike += tally.alike;
        all.unexplained.extend(tally.unexplained);
        for (what, count) in tally.found {
            *all.found.entry(what).or_default() += count;
        }
    }
    println!("{count} connections from seed {first}; {} requests read alike", all.alike);
    for (what, count) in &all.found {
        println!("{count:>8}  {what}");
    }
    if all.unexplained.is_empty() {
        return Ok(());
    }
    let few: Vec<_> = all.unexplained.iter().take(60).map(String::as_str).collect();
    Err(format!("{} disagreements:\n{}", all.unexplained.len(), few.join("\n")).into())
}

/// One of each peer.
struct Three {
    ours: Peer,
    nginx: Peer,
    haproxy: Peer,
}

async fn work(seeds: impl Iterator<Item = u64>, trust: &Trust) -> Outcome<Tally> {
    let mut three = Three {
        ours: Peer::start(Kind::Portcullis, trust).await?,
        nginx: Peer::start(Kind::Nginx, trust).await?,
        haproxy: Peer::start(Kind::Haproxy, trust).await?,
    };
    let mut tally = Tally::default();
    for seed in seeds {
        let case = cases::case(seed);
        let mut judged = three.judge(&case, QUIET).await?;
        if judged.iter().any(Result::is_err) {
            judged = three.judge(&case, VERY_QUIET).await?;
        }
        for judged in judged {
            match judged {
                Ok((alike, what)) => {
                    tally.alike += alike;
                    *tally.found.entry(what).or_default() += 1;
                }
                Err(what) => tally.unexplained.push(format!("{what}\n    {}", case.shown())),
            }
        }
    }
    Ok(tally)
}

/// How many requests were read alike, and what became of the one behind them. An error is what no
/// rule explains.
type Judged = Result<(u64, String), String>;

impl Three {
    async fn judge(&mut self, case: &Case, quiet: Duration) -> Outcome<[Judged; 2]> {
        let (ours, nginx, haproxy) = tokio::join!(
            ask(&mut self.ours, case, quiet),
            ask(&mut self.nginx, case, quiet),
            ask(&mut self.haproxy, case, quiet),
        );
        let ours = ours?;
        Ok([
            judge(Kind::Nginx, case, (&ours, &nginx?)),
            judge(Kind::Haproxy, case, (&ours, &haproxy?)),
        ])
    }
}

/// Sends a case on a fresh connection, and says what reached the server and what was answered.
async fn ask(peer: &mut Peer, case: &Case, quiet: Duration) -> Outcome<Seen> {
    if quiet == VERY_QUIET {
        // What the last case left may be noted late.
        time::sleep(quiet).await;
        peer.reached().await;
    }
    let mut socket = TcpStream::connect(peer.clear).await?;
    socket.set_nodelay(true)?;
    for part in &case.parts {
        // A peer that has refused may have closed already.
        let _ = socket.write_all(part).await;
        yield_now().await;
    }
    let mut said = Vec::new();
    while let Ok(Ok(1..)) = time::timeout(quiet, socket.read_buf(&mut said)).await {}
    drop(socket);
    if quiet == VERY_QUIET {
        time::sleep(quiet).await;
    }
    let requests = peer.reached().await.requests;
    let text: String = said.iter().map(|byte| char::from(*byte)).collect();
    let statuses = text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3));
    let statuses = statuses.filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    let reason = text.rsplit_once("\"reason\":\"").and_then(|(_, rest)| rest.split('"').next());
    Ok(Seen {
        requests,
        statuses: statuses.map(str::to_owned).collect(),
        reason: reason.unwrap_or_default().to_owned(),
    })
}

fn judge(kind: Kind, case: &Case, (ours, peer): (&Seen, &Seen)) -> Judged {
    let name = kind.name();
    let mut theirs = peer.requests.iter();
    let mut skipped = Vec::new();
    for (at, our) in ours.requests.iter().enumerate() {
        // What was refused here may have passed there; it stands before what passed at both.
        let before = skipped.len();
        let alike = theirs.by_ref().any(|other| {
            let same = differs(our, other).is_none();
            if !same {
                skipped.push(other);
            }
            same
        });
        if alike {
            continue;
        }
        let at = u64::try_from(at).unwrap_or_default();
        // A refusal needn't end the connection here, where what stands behind it is certain.
        let refused = ours.statuses.iter().filter(|status| status.starts_with('4')).count();
        if refused > 0 && skipped.len() <= refused {
            return Ok((at, format!("refused here and read on, and no further at {name}")));
        }
        let (what, said) = match skipped.get(before).and_then(|other| differs(our, other)) {
            Some(what) => (what.to_owned(), format!("{:?}", skipped.get(before))),
            None => {
                let status = peer.statuses.last().map_or("nothing", String::as_str);
                (format!("{status} alone"), String::new())
            }
        };
        let said = format!("{what} at {name}: {said}; here: {our:?}");
        return explained(kind, case, &what).map(|what| (at, what)).ok_or(said);
    }
    skipped.extend(theirs);
    let alike = u64::try_from(ours.requests.len()).unwrap_or_default();
    let refusal = ours.statuses.iter().rev().find(|status| status.starts_with(['4', '5']));
    let what = match (refusal, skipped.first()) {
        (Some(status), Some(_)) => format!("{status} {} here, and not at {name}", ours.reason),
        (Some(_), None) => format!("refused here and at {name}"),
        (None, None) => format!("as at {name} to the end"),
        (None, Some(more)) => {
            let said = format!("one more at {name}: {more:?}");
            return explained(kind, case, "one more").map(|what| (alike, what)).ok_or(said);
        }
    };
    Ok((alike, what))
}

/// What of a request was read in two ways.
fn differs(our: &Request, other: &Request) -> Option<&'static str> {
    // Absolute form is passed on by some, and says the host again.
    let path = match other.target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => &other.target,
    };
    [
        ("another method", our.method == other.method),
        ("another target", our.target == path),
        ("another host", our.host == other.host),
        ("another body", our.body == other.body),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
}

fn explained(kind: Kind, case: &Case, what: &str) -> Option<String> {
    let rule = |(peer, difference, text, _): &&(Kind, &str, &str, &str)| {
        *peer == kind && *difference == what && case.holds(text)
    };
    let (.., why) = EXPLAINED.iter().find(rule)?;
    Some(format!("{what} ({}): {why}", kind.name()))
}
