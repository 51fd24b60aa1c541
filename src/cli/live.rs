//! `portcullis check --live`: what the servers behind really list, held against the rules.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    sync::Arc,
};

use crate::{
    config::{self, NamedTool, Owner},
    policy::{Consumer, Rulebook},
    snapshot::{Dialect, DialectSetting, Route, Snapshot, UpstreamAuth},
    types::{KeyDigest, Name, Secret, Untrusted, write_key_segment},
    upstream::{NoList, Server},
};

/// Why a consumer's tools aren't known.
#[derive(Clone, Debug)]
enum Unknown {
    /// Its key is known to the client alone.
    NoKey,
    /// The transport isn't spoken here.
    Legacy,
    /// The server was asked.
    Failed(NoList),
}

/// What came of asking for a consumer on a route.
struct Asked {
    route: Arc<Route>,
    consumer: Arc<Consumer>,
    listed: Result<Vec<String>, Unknown>,
}

/// Where a key stands in a question.
struct Way<'k> {
    path: Vec<u8>,
    bearer: Option<&'k Secret>,
}

/// Asks, and reports; whether every name is there and every server that was asked has answered.
pub(super) fn run(
    snapshot: &Snapshot,
    (source, label, color): (&str, &str, bool),
    (out, err): (&mut impl Write, &mut impl Write),
) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(ask_all(snapshot));
    for one in &asked {
        tell(one, label, (&mut *out, &mut *err))?;
    }
    let tools = config::named_tools(source);
    let problems: Vec<_> = tools.iter().filter_map(|tool| unlisted(tool, &asked)).collect();
    write!(err, "{}", config::render(&problems, source, label, color))?;
    let failed = |one: &Asked| matches!(one.listed, Err(Unknown::Failed(_)));
    Ok(problems.is_empty() && !asked.iter().any(failed))
}

async fn ask_all(snapshot: &Snapshot) -> Vec<Asked> {
    let consumers: BTreeMap<_, _> = snapshot.consumers.iter().map(|c| (&c.name, c)).collect();
    let (mut servers, mut known) = (HashMap::new(), HashMap::new());
    let mut asked = Vec::new();
    for route in snapshot.routes.iter().filter(|route| !route.is_web()) {
        for consumer in consumers.values().filter(|consumer| consumer.may_use(&route.name)) {
            if book(route, consumer).is_none() {
                continue;
            }
            let server = servers.entry(route.upstream.name.clone()).or_insert_with(|| {
                let server = Arc::new(Server::new(Arc::clone(&route.upstream)));
                let names = Arc::clone(&server);
                tokio::spawn(async move { names.keep_names_fresh().await });
                server
            });
            let listed = ask(server, route, consumer, &mut known).await;
            let (route, consumer) = (Arc::clone(route), Arc::clone(consumer));
            asked.push(Asked { route, consumer, listed });
        }
    }
    asked
}

/// Asks for one consumer. Many may have one upstream key, and the server is asked once.
async fn ask(
    server: &Server,
    route: &Route,
    consumer: &Consumer,
    known: &mut HashMap<(Name, KeyDigest), Result<Vec<String>, NoList>>,
) -> Result<Vec<String>, Unknown> {
    if route.upstream.dialect == Some(DialectSetting::Is(Dialect::LegacySse)) {
        return Err(Unknown::Legacy);
    }
    let key = consumer.upstream_key.as_ref().ok_or(Unknown::NoKey)?;
    let same = (route.name.clone(), key.digest());
    if let Some(listed) = known.get(&same) {
        return listed.clone().map_err(Unknown::Failed);
    }
    let Way { path, bearer } = way(route, key);
    let listed = server.list_tools(&path, bearer).await;
    known.insert(same, listed.clone());
    listed.map_err(Unknown::Failed)
}

/// The path upstream that a client of the route would come to, and the key in it or beside it.
fn way<'k>(route: &Route, key: &'k Secret) -> Way<'k> {
    let in_path = route.upstream_auth != UpstreamAuth::Bearer;
    let with_key = route.paths.iter().find(|template| in_path && template.has_key());
    let template = with_key.or(route.paths.first());
    let mut path = Vec::new();
    let segments = template.into_iter().flat_map(|template| template.parts());
    for part in segments.skip(route.upstream.strip_prefix.len()) {
        match part {
            Some(fixed) => path.extend_from_slice(["/", fixed].concat().as_bytes()),
            None if with_key.is_some() => put_key(&mut path, key),
            None => {}
        }
    }
    let behind = with_key.is_none() && route.upstream_auth == UpstreamAuth::Path;
    if behind {
        put_key(&mut path, key);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    let stands_in_it = with_key.is_some() || behind;
    Way { path, bearer: (!stands_in_it).then_some(key) }
}

/// The rules that hold for a consumer on a route.
fn book(route: &Route, consumer: &Consumer) -> Option<Rulebook> {
    Rulebook::of(route.mcp()?.rules.as_ref(), consumer.rules.as_ref())
}

fn put_key(path: &mut Vec<u8>, key: &Secret) {
    path.push(b'/');
    write_key_segment(path, key.expose());
}

fn tell(
    Asked { route, consumer, listed }: &Asked,
    label: &str,
    (out, err): (&mut impl Write, &mut impl Write),
) -> io::Result<()> {
    let who = format!("consumer {} on route {}", consumer.name, route.name);
    match listed {
        Ok(names) => {
            let book = book(route, consumer);
            let seen = names.iter().filter(|name| book.as_ref().is_none_or(|book| book.tool(name)));
            // A server's names go to a terminal.
            let seen: Vec<_> = seen.map(|name| Untrusted::new(name).to_string()).collect();
            let (count, all) = (seen.len(), names.len());
            let colon = if seen.is_empty() { "" } else { ": " };
            writeln!(out, "{who} sees {count} of {all} tools{colon}{}", seen.join(", "))
        }
        Err(Unknown::NoKey) => {
            writeln!(out, "{who} isn't asked for: it has no `upstream_key`, and its own is unknown")
        }
        Err(Unknown::Legacy) => {
            writeln!(out, "{who} isn't asked for: the legacy transport is out of reach")
        }
        Err(Unknown::Failed(why)) => {
            let upstream = &route.upstream.name;
            writeln!(err, "{label}: error: {who}: upstream {upstream} can't be asked: {why}")
        }
    }
}

/// The problem of a tool that no server lists which its owner leads to; none where one of them
/// couldn't be asked, for that one may have it.
fn unlisted(tool: &NamedTool, asked: &[Asked]) -> Option<config::Problem> {
    let concerns = |one: &&Asked| match tool.owner {
        Owner::Route => one.route.name.as_str() == tool.owner_name,
        Owner::Consumer => one.consumer.name.as_str() == tool.owner_name,
        // Have no rules.
        Owner::Access | Owner::Limits | Owner::Set => false,
    };
    let mut listed = Vec::new();
    let mut any = false;
    for one in asked.iter().filter(concerns) {
        match &one.listed {
            Ok(names) => {
                any = true;
                listed.extend(names.iter().map(String::as_str));
            }
            // Another consumer of the route may have been asked for.
            Err(Unknown::NoKey) => {}
            Err(Unknown::Legacy | Unknown::Failed(_)) => return None,
        }
    }
    (any && !listed.contains(&&*tool.tool)).then(|| tool.unlisted(listed.into_iter()))
}
